import Foundation
import Inference
import Synchronization
import Testing

/// Each fixture against the library that trained it.
@Suite struct ParityTests {
  @Test("agrees with the source library", arguments: try ParityCase.all())
  func agrees(name: String) throws {
    var line = ParityReport.Line(name: name)
    defer { ParityReport.add(line) }
    do {
      let fixture = try ParityCase.read(name)
      (line.library, line.tolerance) = (fixture.library, fixture.tolerance)
      let agreement = try Self.score(fixture)
      line.agreement = agreement
      line.verdict = agreement.complaints.isEmpty ? "agrees" : "DIFFERS"
      for complaint in agreement.complaints { Issue.record("\(name), \(complaint)") }
    } catch {
      line.verdict = "FAILS: \(error)"
      Issue.record("\(name): \(error)")
    }
  }

  private static func score(_ fixture: ParityCase) throws -> Agreement {
    let model = try Model.load(fixture.bytes())
    var agreement = Agreement()
    let features = model.signature.features
    if features.map(\.name) != fixture.features.map(\.name) {
      agreement.complain("features are \(features.map(\.name))")
      return agreement
    }
    for (got, want) in zip(features, fixture.features)
    where got.type != want.type || want.missing != nil && got.missing != want.missing {
      agreement.complain("feature \"\(got.name)\" is \(got.type), missing values \(got.missing)")
    }
    let rows = try fixture.table("rows")
    let expected = try fixture.table("expected")
    let columns = try features.map { try Column(rows.column($0.name), as: $0.type) }
    let batch = Batch(rowCount: rows.rows.count, columns: columns)
    let whole = try model.predict(batch, workspace: Workspace())
    #expect(rows.rows.count == fixture.rows && expected.rows.count == fixture.rows)
    agreement.rows = fixture.rows

    let codes = try expected.column("failure")
    let failed = Set(codes.indices.filter { codes[$0] != nil })
    agreement.refused = failed.count
    for failure in whole.failures where codes[failure.row] != failure.code.rawValue {
      agreement.complain("row \(failure.row) was refused: \(failure.reason)")
    }
    let refused = Set(whole.failures.map(\.row))
    for row in failed.subtracting(refused).sorted() {
      agreement.complain("row \(row) was scored, \"\(codes[row] ?? "")\" was expected")
    }
    let unscored = failed.union(refused)
    if model.signature.outputs.count != fixture.outputs.count {
      agreement.complain("outputs are \(model.signature.outputs.map(\.name))")
    }
    for output in fixture.outputs {
      guard let index = model.signature.outputs.firstIndex(where: output.matches) else {
        agreement.complain(
          "no output \"\(output.column)\" (\(output.role), \(output.type)) among "
            + model.signature.outputs.map { "\($0.name) (\($0.role), \($0.type))" }
            .joined(separator: ", "))
        continue
      }
      let cells = try expected.column(output.column)
      if output.role == .label {
        agreement.compare(label: cells, whole.columns[index], output, failed: unscored)
      } else {
        try agreement.compare(
          numbers: cells, whole.columns[index], output, failed: unscored,
          tolerance: fixture.tolerance)
      }
    }
    try holdsInAnyBatch(model, batch, whole, &agreement)
    return agreement
  }

  /// The same bits row by row, in sevens, and from columns in double precision.
  private static func holdsInAnyBatch(
    _ model: Model, _ batch: Batch, _ whole: Predictions, _ agreement: inout Agreement
  ) throws {
    let reasons = Dictionary(uniqueKeysWithValues: whole.failures.map { ($0.row, $0.code) })
    let widened = Batch(rowCount: batch.rowCount, columns: batch.columns.map(\.widened))
    let workspace = Workspace()
    for (source, size) in [(batch, 1), (batch, 7), (widened, batch.rowCount)] {
      for first in stride(from: 0, to: batch.rowCount, by: size) {
        let rows = first..<min(first + size, batch.rowCount)
        let part = Batch(rowCount: rows.count, columns: source.columns.map { $0.slice(rows) })
        let got = try model.predict(part, workspace: workspace)
        let failures = Dictionary(uniqueKeysWithValues: got.failures.map { ($0.row, $0.code) })
        for row in rows {
          if failures[row - first] != reasons[row] {
            agreement.complain("row \(row) in a batch of \(size) is refused otherwise")
          } else if reasons[row] == nil {
            for (index, column) in got.columns.enumerated()
            where column.exact(row - first) != whole.columns[index].exact(row) {
              agreement.complain("row \(row) in a batch of \(size) has another output \(index)")
            }
          }
        }
      }
    }
  }

  @Test("the demo's models give the golden rows")
  func demo() throws {
    let golden = try ParityCase.table(at: "deploy/demo/expected.csv")
    let devices = try golden.column("device")
    let sensors = try golden.column("sensor")
    let routes = zip(devices, sensors).map { "anomaly_\($0 ?? "")_\($1 ?? "")" }
    #expect(Set(routes).count == 15)
    for route in Set(routes).sorted() {
      let path = ParityCase.root.appendingPathComponent("deploy/demo/models/\(route).onnx")
      let model = try Model.load([UInt8](Data(contentsOf: path)))
      #expect(model.signature.features.map(\.name) == ["value"])
      #expect(model.signature.outputs.map(\.name) == ["label", "decision"])
      let rows = routes.indices.filter { routes[$0] == route }
      func cells(_ name: String) throws -> [String?] {
        let all = try golden.column(name)
        return rows.map { all[$0] }
      }
      let value = try Column(cells("value"), as: .float32)
      let got = try model.predict(
        Batch(rowCount: rows.count, columns: [value]), workspace: Workspace())
      #expect(got.failures.isEmpty)
      let labels = try Column(cells("label"), as: .int64)
      let decisions = try Column(cells("decision"), as: .float64)
      for row in rows.indices {
        #expect(got.columns[0].exact(row) == labels.exact(row), "\(route), row \(row)")
        let difference = Agreement.difference(
          try #require(got.columns[1].number(row)), try #require(decisions.number(row)),
          floor: 1)
        #expect(difference <= 1e-6, "\(route), row \(row)")
      }
    }
  }

  @Test("the benchmark's model gives LightGBM's probabilities")
  func bench() throws {
    let expected = try ParityCase.table(at: "deploy/bench/expected.csv")
    let path = ParityCase.root.appendingPathComponent("deploy/bench/boosted_100x31.txt")
    let model = try Model.load([UInt8](Data(contentsOf: path)))
    #expect(model.signature.features.count == 28)
    let columns = try model.signature.features.map {
      try Column(expected.column($0.name), as: .float32)
    }
    let got = try model.predict(
      Batch(rowCount: expected.rows.count, columns: columns), workspace: Workspace())
    let labels = try Column(expected.column("label"), as: .int64)
    let wanted = try Column(expected.column("probability"), as: .float64)
    for row in expected.rows.indices {
      #expect(got.columns[0].exact(row) == labels.exact(row))
      let difference = Agreement.difference(
        try #require(got.columns[1].number(row)), try #require(wanted.number(row)), floor: 0)
      #expect(difference <= 1e-12, "row \(row)")
    }
  }

  @Test(
    "a difference is relative down to the floor",
    arguments: [
      (1.0, 1.0, 0.0, 0.0), (1.5, 1.0, 0.0, 0.5), (0.25, 0.0, 1.0, 0.25), (3.0, 2.0, 4.0, 0.25),
      (1.0, 0.0, 0.0, .infinity), (.nan, 1.0, 1.0, .infinity), (.nan, .nan, 0.0, 0.0),
    ] as [(Double, Double, Double, Double)])
  func difference(got: Double, want: Double, floor: Double, difference: Double) {
    #expect(Agreement.difference(got, want, floor: floor) == difference)
  }

  @Test("a CSV tells NULL from the empty string")
  func csv() throws {
    let table = try TextTable(csv: "a,\"b,\"\"c\"\"\"\n,\"\"\n1,\"x\ny\"\n")
    #expect(table.header == ["a", "b,\"c\""])
    #expect(table.rows == [[nil, ""], ["1", "x\ny"]])
    #expect(throws: ParityError.self) { try TextTable(csv: "a,b\n1\n") }
    #expect(throws: ParityError.self) { try TextTable(csv: "a\n\"1\n") }
  }
}

/// Collects a line from each fixture, and prints the table when the last one is in.
enum ParityReport {
  struct Line: Sendable {
    var name: String
    var library = ""
    var tolerance = 0.0
    var agreement = Agreement()
    var verdict = ""
  }

  private static let lines = Mutex<[Line]>([])

  static func add(_ line: Line) {
    let all = lines.withLock { lines in
      lines.append(line)
      return lines
    }
    guard let expected = try? ParityCase.all().count, all.count == expected else { return }
    let table =
      [
        [
          "case", "library", "rows", "refused", "labels equal", "largest difference", "tolerance",
          "verdict",
        ]
      ] + all.sorted { $0.name < $1.name }.map(\.cells)
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    for row in table {
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }
      print(cells.dropLast().joined(separator: "  ") + "  " + row[row.count - 1])
    }
    print("\(all.filter { $0.verdict == "agrees" }.count) of \(all.count) cases agree")
  }
}

extension ParityReport.Line {
  fileprivate var cells: [String] {
    [
      name, library, "\(agreement.rows)", "\(agreement.refused)",
      agreement.labels == 0 ? "-" : "\(agreement.equalLabels)/\(agreement.labels)",
      String(format: "%.1e", agreement.largestDifference), String(format: "%.0e", tolerance),
      verdict,
    ]
  }
}

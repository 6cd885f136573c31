import Foundation
import Inference
import Synchronization
import Testing

/// Boosted models against the libraries that trained them: predictions, margins, leaves, and some
/// of the boosting rounds; every one of the zoo (`make conformance`) and of the fixtures.
@Suite struct BoostedZooTests {
  @Test("agrees with the source library", arguments: try BoostedCase.all())
  func agrees(place: BoostedCase.Place) throws {
    var line = BoostedReport.Line(place: place)
    defer { BoostedReport.add(line) }
    do {
      let zooCase = try BoostedCase(place)
      line.about = zooCase.about
      var agreement = BoostedAgreement(zooCase)
      try agreement.check()
      line.agreement = agreement
      for complaint in agreement.complaints { Issue.record("\(place), \(complaint)") }
    } catch {
      line.refusal = "\(error)"
      line.isRefused = (error as? ModelError)?.code == .unsupported
      Issue.record("\(place): \(error)")
    }
  }
}

/// A case: a model, rows, and what its library answers, asked in several ways.
struct BoostedCase {
  struct Place: Sendable, CustomTestStringConvertible, CustomStringConvertible {
    var family: String
    var name: String
    var folder: URL

    var description: String { "\(family)/\(name)" }
    var testDescription: String { description }
  }

  /// What `case.json` says beside what `ParityCase` reads.
  private struct Description: Decodable {
    struct Feature: Decodable {
      var name: String
      /// The type of the column in `rows.csv` where it is not the feature's.
      var written: ElementType?
    }

    struct View: Decodable {
      var answer: ModelOptions.Answer
      var iterations: [Int]?
      var outputs: [ParityCase.Output]
    }

    var about: String?
    var objective: String?
    var tolerance: Double
    var features: [Feature]
    var outputs: [ParityCase.Output]
    var views: [View]?
    var model: String
  }

  /// One way to ask the model, and the outputs that it must have then.
  struct View {
    var options: ModelOptions
    var outputs: [ParityCase.Output]
  }

  let about: String
  let tolerance: Double
  let views: [View]
  let bytes: [UInt8]
  private let rows: TextTable
  private let written: [String: ElementType]
  let expected: TextTable

  init(_ place: Place) throws {
    func data(_ file: String) throws -> Data {
      try Data(contentsOf: place.folder.appendingPathComponent(file))
    }
    let description = try JSONDecoder().decode(Description.self, from: data("case.json"))
    about = description.about ?? description.objective ?? place.name
    tolerance = description.tolerance
    views =
      [View(options: ModelOptions(), outputs: description.outputs)]
      + (description.views ?? []).map {
        View(
          options: ModelOptions(
            answer: $0.answer, iterations: $0.iterations.map { $0[0]..<$0[1] }),
          outputs: $0.outputs)
      }
    bytes = [UInt8](try data(description.model))
    written = Dictionary(
      uniqueKeysWithValues: description.features.compactMap { feature in
        feature.written.map { (feature.name, $0) }
      })
    rows = try TextTable(csv: String(decoding: data("rows.csv"), as: UTF8.self))
    expected = try TextTable(csv: String(decoding: data("expected.csv"), as: UTF8.self))
  }

  /// The rows, with columns of the features' types where the file has no other.
  func batch(_ features: [Signature.Feature]) throws -> Batch {
    Batch(
      rowCount: rows.rows.count,
      columns: try features.map {
        try Column(rows.column($0.name), as: written[$0.name] ?? $0.type)
      })
  }

  static let families = ["lightgbm", "xgboost", "catboost"]

  /// Where the zoo is: `ROWCAST_ZOO`, or `.data/zoo`, which `make conformance` fills.
  static var zoo: URL {
    ProcessInfo.processInfo.environment["ROWCAST_ZOO"].map { URL(fileURLWithPath: $0) }
      ?? ParityCase.root.appendingPathComponent(".data/zoo")
  }

  static func all() throws -> [Place] {
    let fixtures = try ParityCase.all().compactMap { name in
      families.first { name.hasPrefix($0) }.map {
        Place(
          family: $0, name: name,
          folder: ParityCase.folder.appendingPathComponent(name))
      }
    }
    let generated = families.flatMap { family in
      let folder = zoo.appendingPathComponent(family)
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      if names.isEmpty { print("\(folder.path) is missing: \"make conformance\" makes it") }
      return names.sorted().map {
        Place(family: family, name: $0, folder: folder.appendingPathComponent($0))
      }
    }
    return fixtures + generated
  }
}

/// How far the answers to a case are from its library's.
struct BoostedAgreement {
  private let zooCase: BoostedCase
  private(set) var rows = 0
  private(set) var refusedRows = 0
  private(set) var cells = 0
  /// Cells with the library's very bits.
  private(set) var equalCells = 0
  /// Largest |got - want| / |want| over all cells.
  private(set) var largestDifference = 0.0
  /// The same against a floor of one, as the article of supported models has it.
  private(set) var largestReported = 0.0
  private(set) var complaints: [String] = []

  init(_ zooCase: BoostedCase) { self.zooCase = zooCase }

  private mutating func complain(_ text: String) {
    if complaints.count < 5 { complaints.append(text) }
  }

  mutating func check() throws {
    for view in zooCase.views {
      let model = try Model.load(zooCase.bytes, options: view.options)
      let batch = try zooCase.batch(model.signature.features)
      rows = batch.rowCount
      let answer = try model.predict(batch, workspace: Workspace())
      let failed = try compareFailures(answer)
      let signature = model.signature.outputs
      guard signature.count == view.outputs.count else {
        complain("\(view.options): outputs are \(signature.map(\.name))")
        continue
      }
      for wanted in view.outputs {
        guard let index = signature.firstIndex(where: wanted.matches) else {
          complain("\(view.options): no output \"\(wanted.column)\" in \(signature)")
          continue
        }
        try compare(answer.columns[index], wanted, failed, "\(view.options.answer)")
      }
      try compareRowByRow(model, batch, answer)
      if view.options.answer == .contribution {
        let sums = try BoostedSums(zooCase, batch, answer.columns)
        if let complaint = sums.complaint(rows: (0..<rows).filter { !failed.contains($0) }) {
          complain(complaint)
        }
      }
    }
  }

  private mutating func compareFailures(_ answer: Predictions) throws -> Set<Int> {
    let codes = try zooCase.expected.column("failure")
    let refused = Dictionary(uniqueKeysWithValues: answer.failures.map { ($0.row, $0.code) })
    for row in 0..<rows where refused[row]?.rawValue != codes[row] {
      complain(
        "row \(row): \(refused[row]?.rawValue ?? "scored"), \(codes[row] ?? "scored") was expected")
    }
    refusedRows = refused.count
    return Set(refused.keys)
  }

  private mutating func compare(
    _ column: Column, _ wanted: ParityCase.Output, _ failed: Set<Int>, _ view: String
  ) throws {
    let texts = try zooCase.expected.column(wanted.column)
    let isNumber = wanted.type != .string
    let values = isNumber ? try Column(texts, as: wanted.computed) : nil
    for row in 0..<rows where !failed.contains(row) {
      cells += 1
      guard isNumber, wanted.role != .label, let values, let want = values.number(row),
        let got = column.number(row)
      else {
        let got = column.exact(row)
        if got == texts[row] ?? "" {
          equalCells += 1
        } else {
          complain("row \(row), \(view): \(wanted.column) is \(got), not \(texts[row] ?? "")")
        }
        continue
      }
      let difference = Agreement.difference(got, want, floor: wanted.floor)
      if column.exact(row) == values.exact(row) || got.isNaN && want.isNaN { equalCells += 1 }
      largestDifference = max(largestDifference, difference)
      largestReported = max(largestReported, Agreement.difference(got, want, floor: 1))
      if difference > zooCase.tolerance {
        complain(
          "row \(row), \(view): \(wanted.column) is \(got), not \(want) (\(difference))")
      }
    }
  }

  /// A row alone has the bits that it has among others.
  private mutating func compareRowByRow(
    _ model: Model, _ batch: Batch, _ whole: Predictions
  ) throws {
    let workspace = Workspace()
    let failed = Set(whole.failures.map(\.row))
    for row in stride(from: 0, to: rows, by: 3) {
      let single = Batch(
        rowCount: 1, columns: batch.columns.map { $0.slice(row..<(row + 1)) })
      let answer = try model.predict(single, workspace: workspace)
      if answer.failures.isEmpty == failed.contains(row) {
        complain("row \(row) alone is refused otherwise")
      }
      guard !failed.contains(row) else { continue }
      for (index, column) in answer.columns.enumerated()
      where column.exact(0) != whole.columns[index].exact(row) {
        complain("row \(row) alone has another output \(index)")
      }
    }
  }
}

/// Collects a line from each case; with the last one it prints the table, and writes the result
/// files from which the article of supported models is made.
enum BoostedReport {
  struct Line: Sendable {
    var place: BoostedCase.Place
    var about = ""
    var agreement: BoostedAgreement?
    var refusal: String?
    var isRefused = false

    init(place: BoostedCase.Place) { self.place = place }

    var verdict: String {
      if let agreement { return agreement.complaints.isEmpty ? "agrees" : "differs" }
      return isRefused ? "refused" : "differs"
    }
  }

  private static let lines = Mutex<[Line]>([])

  static func add(_ line: Line) {
    let all = lines.withLock { lines in
      lines.append(line)
      return lines
    }
    guard let expected = try? BoostedCase.all().count, all.count == expected else { return }
    for family in BoostedCase.families {
      let mine = all.filter { $0.place.family == family }.sorted { $0.place.name < $1.place.name }
      print(summary(family, mine))
      try? write(mine.filter { !$0.place.folder.path.hasPrefix(ParityCase.folder.path) }, family)
    }
  }

  private static func summary(_ family: String, _ lines: [Line]) -> String {
    let agreements = lines.compactMap(\.agreement)
    let table = lines.map { line in
      guard let agreement = line.agreement else {
        return "  \(line.place.name): \(line.refusal ?? "")"
      }
      return String(
        format:
          "  %@: %d rows, %d refused, %d of %d cells equal to the bit, largest difference %.1e, ",
        line.place.name, agreement.rows, agreement.refusedRows, agreement.equalCells,
        agreement.cells, agreement.largestDifference) + line.verdict
    }
    let equal = agreements.filter { $0.cells == $0.equalCells }.count
    let agreeing = lines.filter { $0.verdict == "agrees" }.count
    let largest = agreements.map(\.largestDifference).max() ?? 0
    return table.joined(separator: "\n")
      + "\n\(family): \(agreeing) of \(lines.count) models agree, \(equal) to the last bit; "
      + "largest difference \(String(format: "%.1e", largest))"
  }

  /// A line a case: what it is about, its name, verdict, largest difference, reason.
  private static func write(_ lines: [Line], _ family: String) throws {
    guard !lines.isEmpty else { return }
    let folder = BoostedCase.zoo.appendingPathComponent("results")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let text = lines.map { line in
      [
        line.about, line.place.name, line.verdict,
        line.agreement.map { String(format: "%.1e", $0.largestReported) } ?? "-",
        line.refusal ?? line.agreement?.complaints.first ?? "",
      ].joined(separator: "\t") + "\n"
    }.joined()
    try Data(text.utf8).write(to: folder.appendingPathComponent("\(family).tsv"))
  }
}

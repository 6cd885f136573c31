import Foundation
import Inference
import Synchronization
import Testing

/// Every scikit-learn estimator that skl2onnx converts, in several settings, and pipelines.
///
/// The models are made by `make conformance`; without them there is nothing to test.
@Suite(
  .enabled(
    if: !ZooCase.all("sklearn").isEmpty,
    "no models in \(ZooCase.root.path)/sklearn: `make conformance` makes them"))
struct ScikitLearnTests {
  @Test("agrees with scikit-learn", arguments: ZooCase.all("sklearn"))
  func agrees(name: String) throws {
    let zoo = try ZooCase.read("sklearn", name)
    var verdict = ZooVerdict()
    do {
      verdict = try Self.score(zoo)
    } catch let error as ModelError where error.code == .unsupported {
      (verdict.kind, verdict.reasons) = (.refused, [error.message])
    } catch {
      verdict.complain("\(error)")
    }
    if verdict.kind == .differs {
      for reason in verdict.reasons { Issue.record("\(name), \(reason)") }
    }
    ZooReport.add(zoo, verdict, family: "sklearn")
  }

  private static func score(_ zoo: ZooCase) throws -> ZooVerdict {
    let model = try Model.load(ZooCase.bytes("sklearn", zoo.name))
    var verdict = ZooVerdict()
    let features = model.signature.features
    guard features.map(\.name) == zoo.features.map(\.name) else {
      verdict.complain("features are \(features.map(\.name))")
      return verdict
    }
    let rows = try ZooCase.table("sklearn", zoo.name, "rows")
    let columns = try features.map { try Column(rows.column($0.name), as: $0.type) }
    let batch = Batch(rowCount: zoo.rows, columns: columns)
    let whole = try model.predict(batch, workspace: Workspace())
    for failure in whole.failures {
      verdict.complain("row \(failure.row) was refused: \(failure.reason)")
    }
    guard whole.columns.count == zoo.outputs.count else {
      verdict.complain(
        "\(whole.columns.count) outputs \(model.signature.outputs.map(\.name)), "
          + "\(zoo.outputs.count) were expected")
      return verdict
    }
    let expected = try ZooCase.table("sklearn", zoo.name, "expected")
    let runtime =
      zoo.onnxruntime.refusal == nil
      ? try ZooCase.table("sklearn", zoo.name, "onnxruntime") : nil
    let refused = Set(whole.failures.map(\.row))
    for (output, column) in zip(zoo.outputs, whole.columns) {
      let want = try expected.column(output.column)
      let other = try runtime?.column(output.column)
      for row in 0..<zoo.rows where !refused.contains(row) {
        guard output.type != .string, let number = column.number(row) else {
          verdict.compare(
            exact: column.exact(row), want[row] ?? "", runtime: other.map { $0[row] ?? "" },
            row: row, column: output.column)
          continue
        }
        let wanted = want[row].flatMap(Double.init) ?? .nan
        let others = other.map { $0[row].flatMap(Double.init) ?? .nan }
        if output.type == .float32 || output.type == .float64 {
          verdict.compare(number, wanted, runtime: others, row: row, column: output.column)
        } else {
          verdict.compare(
            exact: "\(number)", "\(wanted)", runtime: others.map { "\($0)" }, row: row,
            column: output.column)
        }
      }
    }
    try holdsInAnyBatch(model, batch, whole, &verdict)
    return verdict
  }

  /// The same bits row by row and in sevens.
  private static func holdsInAnyBatch(
    _ model: Model, _ batch: Batch, _ whole: Predictions, _ verdict: inout ZooVerdict
  ) throws {
    let workspace = Workspace()
    for size in [1, 7] {
      for first in stride(from: 0, to: batch.rowCount, by: size) {
        let rows = first..<min(first + size, batch.rowCount)
        let part = Batch(rowCount: rows.count, columns: batch.columns.map { $0.slice(rows) })
        let got = try model.predict(part, workspace: workspace)
        let refused = Set(got.failures.map { $0.row + first })
        for row in rows {
          let isRefused = whole.failures.contains { $0.row == row }
          if refused.contains(row) != isRefused {
            verdict.complain("row \(row) in a batch of \(size) is refused otherwise")
          } else if !isRefused {
            for (index, column) in got.columns.enumerated()
            where column.exact(row - first) != whole.columns[index].exact(row) {
              verdict.complain("row \(row) in a batch of \(size) has another output \(index)")
            }
          }
        }
      }
    }
  }
}

/// Collects a line from each case; with the last one it writes them all down and sums them up.
enum ZooReport {
  private static let lines = Mutex<[String: [String: (ZooCase, ZooVerdict)]]>([:])

  /// The share of the cases, and of what they are about, that may be refused.
  private static let mostRefused = 0.05

  static func add(_ zoo: ZooCase, _ verdict: ZooVerdict, family: String) {
    let all = lines.withLock { lines in
      lines[family, default: [:]][zoo.name] = (zoo, verdict)
      return lines[family] ?? [:]
    }
    guard all.count == ZooCase.all(family).count else { return }
    let sorted = all.values.sorted { $0.0.name < $1.0.name }
    write(sorted, family)
    var counts: [ZooVerdict.Kind: Int] = [:]
    for (_, verdict) in sorted { counts[verdict.kind, default: 0] += 1 }
    func count(_ kind: ZooVerdict.Kind) -> Int { counts[kind] ?? 0 }
    print(
      "\(family): \(sorted.count) cases: \(count(.agrees)) agree, \(count(.onnxruntime)) are as near "
        + "as ONNX Runtime, \(count(.refused)) are refused, \(count(.differs)) differ")
    for (zoo, verdict) in sorted where verdict.kind == .refused || verdict.kind == .differs {
      print("  \(zoo.name): \(verdict.kind.rawValue): \(verdict.reasons.first ?? "")")
    }
    let estimators = Set(sorted.map(\.0.about))
    let refused = estimators.subtracting(
      sorted.filter { $0.1.kind != .refused }.map(\.0.about))
    if Double(refused.count) > mostRefused * Double(estimators.count) {
      Issue.record("\(refused.count) of \(estimators.count) are refused: \(refused.sorted())")
    }
    if Double(count(.refused)) > mostRefused * Double(sorted.count) {
      Issue.record("\(count(.refused)) of \(sorted.count) cases are refused")
    }
  }

  /// A line a case: what it is about, its name, the verdict, the largest difference, the reason.
  private static func write(_ lines: [(ZooCase, ZooVerdict)], _ family: String) {
    guard ProcessInfo.processInfo.environment["ROWCAST_ZOO_CASE"] == nil else { return }
    let folder = ZooCase.root.appendingPathComponent("results")
    let text = lines.map { zoo, verdict in
      let difference =
        verdict.kind == .refused ? "-" : String(format: "%.1e", verdict.difference)
      let reason = (verdict.reasons.first ?? "")
        .replacing("\t", with: " ").replacing("\n", with: " ")
      return [zoo.about, zoo.name, verdict.kind.rawValue, difference, reason]
        .joined(separator: "\t") + "\n"
    }
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data(text.joined().utf8).write(to: folder.appendingPathComponent("\(family).tsv"))
    } catch {
      Issue.record("the results of \(family) cannot be written: \(error)")
    }
  }
}

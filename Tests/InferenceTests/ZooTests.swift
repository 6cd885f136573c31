import Foundation
import Inference
import Testing

/// Every scikit-learn estimator that skl2onnx converts, in several settings, and pipelines.
///
/// The models are made by `make conformance`; without them there is nothing to test.
@Suite(
  .enabled(
    if: !ZooCase.all("sklearn").isEmpty,
    "no models in \(ZooCase.root.path)/sklearn: `make conformance` makes them"))
struct ScikitLearnZooTests {
  @Test("agrees with scikit-learn", arguments: ZooCase.all("sklearn"))
  func agrees(name: String) throws { try ZooScore.check("sklearn", name) }
}

/// Single nodes of each operator of ai.onnx.ml, with every attribute and type.
@Suite(
  .enabled(
    if: !ZooCase.all("operators").isEmpty,
    "no models in \(ZooCase.root.path)/operators: `make conformance` makes them"))
struct OperatorZooTests {
  @Test("agrees with ONNX Runtime", arguments: ZooCase.all("operators"))
  func agrees(name: String) throws { try ZooScore.check("operators", name) }
}

/// Scores a case and compares it with what its library computed.
enum ZooScore {
  static func check(_ family: String, _ name: String) throws {
    let zoo = try ZooCase.read(family, name)
    var verdict = ZooVerdict()
    do {
      verdict = try score(family, zoo)
    } catch let error as ModelError where error.code == .unsupported {
      (verdict.kind, verdict.reasons) = (.refused, [error.message])
    } catch {
      verdict.complain("\(error)")
    }
    if verdict.kind == .differs {
      for reason in verdict.reasons { Issue.record("\(name), \(reason)") }
    }
    ZooReport.add(zoo, verdict, family: family)
  }

  private static func score(_ family: String, _ zoo: ZooCase) throws -> ZooVerdict {
    let model = try Model.load(ZooCase.bytes(family, zoo.name))
    var verdict = ZooVerdict()
    let features = model.signature.features
    guard features.map(\.name) == zoo.features.map(\.name) else {
      verdict.complain("features are \(features.map(\.name))")
      return verdict
    }
    let rows = try ZooCase.table(family, zoo.name, "rows")
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
    let expected = try ZooCase.table(family, zoo.name, "expected")
    let runtime =
      zoo.onnxruntime.refusal == nil
      ? try ZooCase.table(family, zoo.name, "onnxruntime") : nil
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

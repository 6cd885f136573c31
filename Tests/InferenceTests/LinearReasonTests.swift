import Foundation
import Inference
import Testing

/// Reasons of linear models in ONNX, against what scikit-learn predicted: between two rows, the margin
/// differs by what the contributions differ.
@Suite struct LinearReasonTests {
  /// Fixtures, and the last column of what scikit-learn answers.
  static let cases = [
    "linear_regression", "ridge", "logistic_binary", "logistic_binary_zipmap", "logistic_opset12",
  ]

  @Test("contributions account for the margin", arguments: cases)
  func sums(name: String) throws {
    let fixture = try ParityCase.read(name)
    let model = try Model.load(
      fixture.bytes(), options: ModelOptions(reasons: ModelOptions.mostReasons))
    #expect(model.givesReasons)
    let rows = try fixture.table("rows")
    let expected = try fixture.table("expected")
    let batch = Batch(
      rowCount: rows.rows.count,
      columns: try model.signature.features.map { try Column(rows.column($0.name), as: $0.type) })
    let answer = try model.predict(batch, workspace: Workspace())
    let output = try #require(fixture.outputs.last)
    let isScore = output.role == .score
    let values = try expected.column(output.column)
    let failed = Set(answer.failures.map(\.row))
    let first = fixture.outputs.count
    var base: Double?
    for row in 0..<batch.rowCount where !failed.contains(row) {
      guard let value = values[row].flatMap(Double.init) else { continue }
      // Near 0 and 1 a float no longer tells the margin.
      if !isScore, value < 1e-4 || value > 1 - 1e-4 { continue }
      let margin = isScore ? value : log(value / (1 - value))
      let parts = stride(from: first + 1, to: answer.columns.count, by: 2)
        .compactMap { answer.columns[$0].isNull(row) ? nil : answer.columns[$0].number(row) }
      let largest = parts.map(\.magnitude).max() ?? 0
      let found = margin - parts.reduce(0, +)
      let known = base ?? found
      #expect((found - known).magnitude < 1e-3 * max(1, largest), "row \(row)")
      base = known
    }
    #expect(base != nil)
  }

  @Test("of several classes, reasons are the predicted one's")
  func classes() throws {
    let fixture = try ParityCase.read("logistic_multinomial")
    let model = try Model.load(fixture.bytes(), options: ModelOptions(reasons: 1))
    let rows = try fixture.table("rows")
    let batch = Batch(
      rowCount: rows.rows.count,
      columns: try model.signature.features.map { try Column(rows.column($0.name), as: $0.type) })
    let plain = try Model.load(fixture.bytes()).predict(batch, workspace: Workspace())
    let answer = try model.predict(batch, workspace: Workspace())
    #expect(Array(answer.columns.prefix(plain.columns.count)) == plain.columns)
    let names = Set(model.signature.features.map(\.name))
    let reasons = answer.columns[plain.columns.count]
    let given = (0..<batch.rowCount).filter { row in
      !reasons.isNull(row) && !answer.failures.contains { $0.row == row }
    }
    // Rows of zeros have none.
    #expect(given.count > batch.rowCount / 2)
    for row in given { #expect(names.contains(reasons.exact(row))) }
  }

  @Test(
    "what is not linear, or of several outputs, is refused",
    arguments: [
      "mlp_classifier", "text_words", "random_forest_classifier", "pca_logistic",
      "linear_regression_two_targets", "svc_rbf", "kmeans",
    ])
  func refused(name: String) throws {
    let bytes = try ParityCase.read(name).bytes()
    #expect(try !Model.load(bytes).givesReasons)
    do throws(ModelError) {
      _ = try Model.load(bytes, options: ModelOptions(reasons: 2))
      Issue.record("\(name) was explained")
    } catch {
      #expect(error.code == .unsupported)
      #expect(error.message == "the ONNX model cannot be explained")
    }
  }
}

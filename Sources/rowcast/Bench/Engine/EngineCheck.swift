import Inference
import Scoring

/// Whether a model's outputs are what a file says they should be.
struct EngineCheck: Encodable, Sendable {
  var rows: Int
  /// Rows that the model refuses; they are not compared.
  var refused: Int
  var outputs: [String]
  /// Of numbers, relative to the file's value or to 1, whichever is larger.
  var largestDifference: Double
  /// Labels, texts and flags that differ.
  var unequal: Int

  /// Scores the rows and compares what the file has.
  init(_ model: Model, _ rows: FileRows) throws(ModelError) {
    let got = try model.predict(rows.batch, workspace: Workspace())
    let failed = Set(got.failures.map(\.row))
    self.rows = rows.batch.rowCount
    refused = failed.count
    let places = rows.expected.keys.sorted()
    outputs = places.map { model.signature.outputs[$0].name }
    largestDifference = 0
    unequal = 0
    for place in places {
      guard let wanted = rows.expected[place] else { continue }
      for row in 0..<rows.batch.rowCount where !failed.contains(row) && !wanted.isNull(row) {
        compare(got.columns[place].values, wanted.values, row)
      }
    }
  }

  private mutating func compare(_ got: Column.Values, _ wanted: Column.Values, _ row: Int) {
    switch (got, wanted) {
    case (.float32(let got), .float32(let wanted)): add(Double(got[row]), Double(wanted[row]))
    case (.float64(let got), .float64(let wanted)): add(got[row], wanted[row])
    case (.int64(let got), .int64(let wanted)): unequal += got[row] == wanted[row] ? 0 : 1
    case (.bool(let got), .bool(let wanted)): unequal += got[row] == wanted[row] ? 0 : 1
    case (.string(let got), .string(let wanted)): unequal += got[row] == wanted[row] ? 0 : 1
    default: unequal += 1
    }
  }

  private mutating func add(_ got: Double, _ wanted: Double) {
    if got == wanted || got.isNaN && wanted.isNaN { return }
    let difference = (got - wanted).magnitude / max(wanted.magnitude, 1)
    largestDifference = max(largestDifference, difference.isNaN ? .infinity : difference)
  }
}

import Foundation
import Inference
import Postgres

extension FaultScene {
  struct Comparison {
    var rows = 0
    var predictions = 0
    var failures = 0
    var missing = 0
    var stale = 0
    var orphaned = 0
    var duplicate = 0
    /// Chunks that are still claimed.
    var held = 0
    /// Chunks that were given up.
    var failedChunks = 0

    var isExact: Bool {
      missing == 0 && stale == 0 && orphaned == 0 && duplicate == 0 && held == 0
        && failedChunks == 0
    }
  }

  /// Scores the table as it is now with the engine alone, and compares.
  func compareWithOracle() throws -> Comparison {
    let connection = try Connection(settings)
    defer { connection.close() }
    let source = try connection.run(
      "select reading_id, f0, f1, f2, f3, f4 from reading order by reading_id")
    let model = try Model.load(modelBytes)
    var report = Comparison()
    report.rows = source.count
    var columns: [Column] = []
    for index in 1...5 {
      var column = Column(.float64([]))
      var values: [Double] = []
      var nulls = [UInt64](repeating: 0, count: (source.count + 63) / 64)
      for row in 0..<source.count {
        let value = try source.value(row, index, as: Double?.self)
        values.append(value ?? 0)
        if value == nil { nulls[row >> 6] |= 1 << UInt64(row & 63) }
      }
      column.values = .float64(values)
      column.nulls = nulls
      columns.append(column)
    }
    let expected = try model.predict(
      Batch(rowCount: source.count, columns: columns), workspace: Workspace())
    guard case .float32(let scores) = expected.columns[0].values else {
      throw ModelError(.mismatch, "the oracle's score is not a float32")
    }
    let refused = Set(expected.failures.map(\.row))

    var wanted: [Int64: Float?] = [:]
    for row in 0..<source.count {
      wanted[try source.value(row, 0, as: Int64.self)] =
        refused.contains(row) ? .some(nil) : scores[row]
    }
    var scored: Set<Int64> = []
    let predictions = try connection.run("select reading_id, score from predictions.reading")
    report.predictions = predictions.count
    for row in 0..<predictions.count {
      let key = try predictions.value(row, 0, as: Int64.self)
      if !scored.insert(key).inserted { report.duplicate += 1 }
      switch wanted[key] {
      case nil: report.orphaned += 1
      case .some(let score):
        if try predictions.value(row, 1, as: Float.self) != score { report.stale += 1 }
      }
    }
    let failures = try connection.run("select reading_id from predictions.reading_failure")
    report.failures = failures.count
    for row in 0..<failures.count {
      let key = try failures.value(row, 0, as: Int64.self)
      if !scored.insert(key).inserted { report.duplicate += 1 }
      switch wanted[key] {
      case nil: report.orphaned += 1
      case .some(let score): if score != nil { report.stale += 1 }
      }
    }
    report.missing = wanted.keys.count { !scored.contains($0) }
    let chunks = try connection.run(
      """
      select count(*) filter (where state = 'running'), count(*) filter (where state = 'failed')
      from rowcast.chunk
      """)
    report.held = Int(try chunks.value(0, 0, as: Int64.self))
    report.failedChunks = Int(try chunks.value(0, 1, as: Int64.self))
    return report
  }
}

import Foundation
import Inference

/// Times `Model.predict` as lanes call it: each thread with batches and a workspace of its own.
///
/// A network of tensors is timed as one request is answered: all threads share each batch.
struct EngineTimer {
  struct Figure: Encodable, Sendable {
    var batch: Int
    var threads: Int
    /// The rates of all threads, added up; the median of the repeats, and the fastest.
    var rowsPerSecond: Double
    var bestRowsPerSecond: Double
    /// Wall time a row, of the median.
    var nanosecondsPerRow: Double { 1e9 / rowsPerSecond }

    enum CodingKeys: String, CodingKey {
      case batch, threads, rowsPerSecond, bestRowsPerSecond, nanosecondsPerRow
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(batch, forKey: .batch)
      try container.encode(threads, forKey: .threads)
      try container.encode(rowsPerSecond, forKey: .rowsPerSecond)
      try container.encode(bestRowsPerSecond, forKey: .bestRowsPerSecond)
      try container.encode(nanosecondsPerRow, forKey: .nanosecondsPerRow)
    }
  }

  let model: Model
  let rows: Batch
  /// How often each measurement is done.
  let repeats: Int
  /// The least length of each.
  let seconds: Double

  /// More batches than this are not cut: their rows are no longer in the caches anyway.
  private static let mostBatches = 2048

  /// - Complexity: `(repeats + 1) * seconds`, or as many batches where one takes longer.
  func measure(batch: Int, threads: Int) throws -> Figure {
    let batches = rows.cut(into: batch, atMost: Self.mostBatches)
    let sharing = model.signature.features.contains { $0.shape != nil } ? threads : 1
    let members = threads / sharing
    let calls = try callCount(batches, sharing: sharing)
    var sample = Sample()
    for _ in 0..<repeats {
      let outcome = try Crew.run(members) { member in
        let tools = Tools(
          workspace: Workspace(threads: sharing), next: member * batches.count / members)
        // The first call makes the workspace's memory.
        _ = try model.predict(batches[tools.next], workspace: tools.workspace)
        return tools
      } work: { _, tools in
        try ContinuousClock().measure {
          for _ in 0..<calls {
            _ = try model.predict(batches[tools.next], workspace: tools.workspace)
            tools.next = tools.next + 1 == batches.count ? 0 : tools.next + 1
          }
        }
      }
      // One that started late or lost its core for a moment does not count for the others.
      let rates = outcome.values.map { Double(calls * batch) / Format.seconds($0) }
      sample.add(rates.reduce(0, +))
    }
    return Figure(
      batch: batch, threads: threads, rowsPerSecond: sample.median ?? 0,
      bestRowsPerSecond: sample.values.max() ?? 0)
  }

  /// What a thread brings to each call.
  private struct Tools {
    let workspace: Workspace
    var next: Int
  }

  /// Calls that last `seconds` on one thread, by a first, growing try.
  private func callCount(_ batches: [Batch], sharing: Int) throws -> Int {
    let workspace = Workspace(threads: sharing)
    _ = try model.predict(batches[0], workspace: workspace)
    var calls = 1
    let clock = ContinuousClock()
    while true {
      let duration = try clock.measure {
        for call in 0..<calls {
          _ = try model.predict(batches[call % batches.count], workspace: workspace)
        }
      }
      let spent = Format.seconds(duration)
      if spent >= seconds / 4 || calls >= 1 << 24 {
        return max(1, Int((Double(calls) * seconds / max(spent, 1e-9)).rounded(.up)))
      }
      calls *= spent < seconds / 100 ? 10 : 2
    }
  }
}

extension Batch {
  /// Whole batches of `size` rows, in order; rows are repeated where there are fewer than one
  /// batch takes.
  func cut(into size: Int, atMost most: Int) -> [Batch] {
    if rowCount < size {
      let order = (0..<size).map { $0 % rowCount }
      return [Batch(rowCount: size, columns: columns.map { $0.rows(order) })]
    }
    return (0..<min(rowCount / size, most)).map { number in
      let rows = Array((number * size)..<((number + 1) * size))
      return Batch(rowCount: size, columns: columns.map { $0.rows(rows) })
    }
  }
}

extension Column {
  /// The given rows, in the given order.
  fileprivate func rows(_ rows: [Int]) -> Column {
    let width = width
    func pick<T>(_ values: [T]) -> [T] {
      if width == 1 { return rows.map { values[$0] } }
      return rows.flatMap { values[($0 * width)..<(($0 + 1) * width)] }
    }
    let values: Column.Values =
      switch self.values {
      case .int16(let v): .int16(pick(v))
      case .int32(let v): .int32(pick(v))
      case .int64(let v): .int64(pick(v))
      case .float32(let v): .float32(pick(v))
      case .float64(let v): .float64(pick(v))
      case .bool(let v): .bool(pick(v))
      case .string(let v): .string(pick(v))
      case .bytes(let v): .bytes(pick(v))
      }
    var column = Column(values, shape: shape)
    guard nulls != nil else { return column }
    var words = [UInt64](repeating: 0, count: (rows.count + 63) / 64)
    for (index, row) in rows.enumerated() where isNull(row) {
      words[index >> 6] |= 1 << UInt64(index & 63)
    }
    column.nulls = words
    return column
  }
}

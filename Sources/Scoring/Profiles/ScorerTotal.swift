/// What chunks of a scorer came to, until it is added to the scorer's total in the database.
package struct ScorerTotal: Sendable {
  /// How long a chunk's parts took, by the clock.
  struct Stages: Sendable {
    var read: Duration
    var predict: Duration
    var write: Duration
  }

  /// Seconds from a chunk's oldest change to its commit, by which chunks are counted. What is stored is counted by
  /// these, so they stay as they are.
  package static let latencyBounds: [Double] = [
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
  ]

  var rowsScored: Int64 = 0
  var rowsFailed: Int64 = 0
  var chunks: Int64 = 0
  var readSeconds = 0.0
  var predictSeconds = 0.0
  var writeSeconds = 0.0
  var latencySeconds = 0.0
  /// Chunks by the first bound that they did not exceed; the last are those beyond all.
  var latencyCounts = [Int64](repeating: 0, count: ScorerTotal.latencyBounds.count + 1)

  /// - Parameter latency: nil for chunks of jobs.
  mutating func add(rows: Int, failed: Int, _ stages: Stages, latency: Duration?) {
    rowsScored += Int64(rows - failed)
    rowsFailed += Int64(failed)
    chunks += 1
    readSeconds += stages.read.seconds
    predictSeconds += stages.predict.seconds
    writeSeconds += stages.write.seconds
    guard let seconds = latency?.seconds else { return }
    latencySeconds += seconds
    let bound = Self.latencyBounds.firstIndex { seconds <= $0 } ?? Self.latencyBounds.count
    latencyCounts[bound] += 1
  }

  mutating func add(_ other: ScorerTotal) {
    rowsScored += other.rowsScored
    rowsFailed += other.rowsFailed
    chunks += other.chunks
    readSeconds += other.readSeconds
    predictSeconds += other.predictSeconds
    writeSeconds += other.writeSeconds
    latencySeconds += other.latencySeconds
    for bound in latencyCounts.indices { latencyCounts[bound] += other.latencyCounts[bound] }
  }
}

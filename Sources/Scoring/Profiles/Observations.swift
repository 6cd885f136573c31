internal import FoundationEssentials
internal import Inference
internal import Synchronization

/// What the lanes of a worker count while they score, until the control thread writes it down.
///
/// Adding takes a lock for as long as it takes to add some numbers. What was not written yet is lost where
/// the process dies.
final class Observations: Sendable {
  /// What is kept of one scorer.
  struct ScorerCounts: Sendable {
    struct ColumnKey: Hashable {
      var profile: Int32
      /// 0 where each row has a model of its own.
      var version: Int32
      /// Seconds since 1970, of its beginning.
      var hour: Int64
    }

    struct Minute: Sendable {
      var rowsScored: Int64 = 0
      var rowsFailed: Int64 = 0
      var chunks: Int64 = 0
      var latencies: Int64 = 0
      var latencySeconds = 0.0
      var longestLatency = 0.0
    }

    struct UsageKey: Hashable {
      var model: String
      var version: Int32
      /// 0 for rows that came by changes.
      var job: Int64
      var hour: Int64
    }

    struct Usage: Sendable {
      var rows: Int64 = 0
      var seconds = 0.0
      var predictSeconds = 0.0
    }

    struct ExpectationKey: Hashable {
      var expectation: Int32
      var hour: Int64
    }

    var name = ""
    var columns: [ColumnKey: [ProfiledColumn: ColumnStatistics]] = [:]
    var minutes: [Int64: Minute] = [:]
    var usage: [UsageKey: Usage] = [:]
    var expectations: [ExpectationKey: ExpectationJudge.Outcome] = [:]
    var total = ScorerTotal()
    fileprivate var dirtySince: ContinuousClock.Instant?
    fileprivate var dirtyAt: ContinuousClock.Instant?
  }

  /// A chunk that was scored and written.
  struct Entry {
    var chunk: Chunk
    var scorerName: String
    var rows: ChunkRows
    var result: ChunkResult
    var profile: ScorerProfile
    var columns: [ProfiledColumn: ColumnStatistics]
    var outcomes: [ExpectationJudge.Outcome]
    var stages: ScorerTotal.Stages
    var latency: Duration?
    /// Of the lane's thread, for the whole chunk.
    var cpuSeconds: Double
  }

  private struct State {
    var scorers: [Int32: ScorerCounts] = [:]
    var firstRows: [Int32: FirstRows] = [:]
    /// First rows were written of these: they have, or soon will have, reference rows.
    var settled: Set<Int32> = []
  }

  private let state = Mutex(State())

  /// Where jobs that belong to no scorer are counted.
  static let noScorer: Int32 = 0

  /// A scorer's counts are written when it rests for so long …
  private static let rest = Duration.seconds(1)
  /// … or has been busy for so long.
  private static let longest = Duration.seconds(5)

  func add(_ entry: Entry) {
    let now = Int64(Date.now.timeIntervalSince1970)
    let (hour, minute) = (now - now % 3600, now - now % 60)
    let failed = Int64(entry.result.failures.count)
    state.withLock { state in
      var counts = state.scorers.removeValue(forKey: entry.chunk.scorer) ?? ScorerCounts()
      counts.name = entry.scorerName
      let key = ScorerCounts.ColumnKey(
        profile: entry.profile.id, version: entry.chunk.model?.version ?? 0, hour: hour)
      var columns = counts.columns.removeValue(forKey: key) ?? [:]
      for (place, statistics) in entry.columns {
        if columns[place]?.bins.count == statistics.bins.count {
          columns[place]!.merge(statistics)
        } else {
          columns[place] = statistics
        }
      }
      counts.columns[key] = columns

      var own = counts.minutes[minute] ?? .init()
      own.rowsScored += Int64(entry.rows.count) - failed
      own.rowsFailed += failed
      own.chunks += 1
      if let latency = entry.latency?.seconds {
        own.latencies += 1
        own.latencySeconds += latency
        own.longestLatency = max(own.longestLatency, latency)
      }
      counts.minutes[minute] = own

      counts.total.add(
        rows: entry.rows.count, failed: entry.result.failures.count, entry.stages,
        latency: entry.latency)

      let rows = max(1, entry.result.shares.reduce(0) { $0 + $1.rows })
      let predict = entry.result.shares.reduce(0) { $0 + $1.predictSeconds }
      for share in entry.result.shares {
        let key = ScorerCounts.UsageKey(
          model: share.model, version: share.version, job: entry.chunk.job ?? 0, hour: hour)
        counts.usage[key, default: .init()].rows += Int64(share.rows)
        // Reading and writing is shared by the rows.
        counts.usage[key]!.seconds +=
          share.predictSeconds + (entry.cpuSeconds - predict) * Double(share.rows) / Double(rows)
        counts.usage[key]!.predictSeconds += share.predictSeconds
      }
      for outcome in entry.outcomes {
        let key = ScorerCounts.ExpectationKey(expectation: outcome.expectation, hour: hour)
        guard var known = counts.expectations[key] else {
          counts.expectations[key] = outcome
          continue
        }
        known.checked += outcome.checked
        known.failed += outcome.failed
        known.observed = outcome.observed ?? known.observed
        known.reason = outcome.reason ?? known.reason
        counts.expectations[key] = known
      }
      let instant = ContinuousClock.now
      counts.dirtySince = counts.dirtySince ?? instant
      counts.dirtyAt = instant
      state.scorers[entry.chunk.scorer] = counts

      if entry.profile.id != 0 {
        state.firstRows[entry.chunk.scorer] = nil
      } else if !state.settled.contains(entry.chunk.scorer) {
        var first = state.firstRows.removeValue(forKey: entry.chunk.scorer) ?? FirstRows()
        first.add(entry.rows, entry.result, without: entry.profile.vectors)
        state.firstRows[entry.chunk.scorer] = first
      }
    }
  }

  /// What a chunk took of a job that belongs to no scorer.
  func addUsage(
    _ share: ChunkResult.Share, failed: Int, _ stages: ScorerTotal.Stages, job: Int64,
    cpuSeconds: Double
  ) {
    let now = Int64(Date.now.timeIntervalSince1970)
    let key = ScorerCounts.UsageKey(
      model: share.model, version: share.version, job: job, hour: now - now % 3600)
    state.withLock { state in
      // No scorer has that number; and none of its name.
      var counts = state.scorers.removeValue(forKey: Self.noScorer) ?? ScorerCounts()
      counts.usage[key, default: .init()].rows += Int64(share.rows)
      counts.usage[key]!.seconds += cpuSeconds
      counts.usage[key]!.predictSeconds += share.predictSeconds
      counts.total.add(rows: share.rows, failed: failed, stages, latency: nil)
      let instant = ContinuousClock.now
      counts.dirtySince = counts.dirtySince ?? instant
      counts.dirtyAt = instant
      state.scorers[Self.noScorer] = counts
    }
  }

  /// Scorers whose counts are due to be written; all of which there are any where the worker stops.
  func due(all: Bool = false) -> Set<Int32> {
    let now = ContinuousClock.now
    return state.withLock { state in
      Set(
        state.scorers.filter { _, counts in
          all || counts.dirtyAt!.duration(to: now) >= Self.rest
            || counts.dirtySince!.duration(to: now) >= Self.longest
        }.keys)
    }
  }

  func take(_ scorers: Set<Int32>) -> [Int32: ScorerCounts] {
    state.withLock { state in
      let taken = state.scorers.filter { scorers.contains($0.key) }
      for scorer in taken.keys { state.scorers[scorer] = nil }
      return taken
    }
  }

  /// Takes first rows of which there are enough, once for each scorer.
  func takeFirstRows() -> [Int32: FirstRows] {
    state.withLock { state in
      let ready = state.firstRows.filter { $0.value.rowCount >= FirstRows.enough }
      for scorer in ready.keys {
        state.firstRows[scorer] = nil
        state.settled.insert(scorer)
      }
      return ready
    }
  }
}

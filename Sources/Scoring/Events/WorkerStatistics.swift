internal import Synchronization

/// Counts of a worker since it started; any thread may read them at any time.
public final class WorkerStatistics: Sendable {
  /// The counts at one moment. Counters only grow; rates are differences of snapshots.
  public struct Snapshot: Sendable, Codable, Equatable {
    public var rowsScored: Int64 = 0
    public var rowsFailed: Int64 = 0
    public var chunks: Int64 = 0
    public var chunksCopied: Int64 = 0
    public var chunksLost: Int64 = 0
    public var chunksFailed: Int64 = 0
    public var chunksRetried: Int64 = 0
    public var chunksRescued: Int64 = 0
    public var ticks: Int64 = 0
    public var changes: Int64 = 0
    public var sleeps: Int64 = 0
    public var rings: Int64 = 0
    /// Each is a defect: changes that nobody had rung for.
    public var safetyPollHits: Int64 = 0
    public var elections: Int64 = 0
    public var connectionsLost: Int64 = 0
    public var modelsLoaded: Int64 = 0
    public var scorersSuspended: Int64 = 0
    public var maintenanceFailures: Int64 = 0
    public var readSeconds: Double = 0
    public var predictSeconds: Double = 0
    public var writeSeconds: Double = 0
    /// From change to committed prediction, a value a chunk of changes (its oldest).
    public var latencyCount: Int64 = 0
    public var latencyP50Milliseconds: Double?
    public var latencyP99Milliseconds: Double?

    public init() {}
  }

  private struct State {
    var counts = Snapshot()
    var latency = LatencyHistogram()
  }

  private let state = Mutex(State())
  private let dispatching = Atomic(false)

  public init() {}

  /// Whether this process's dispatcher holds the election now.
  public var isDispatching: Bool { dispatching.load(ordering: .relaxed) }

  public func snapshot() -> Snapshot {
    state.withLock { state in
      var counts = state.counts
      counts.latencyCount = Int64(state.latency.count)
      counts.latencyP50Milliseconds = state.latency.quantile(0.5).map(\.milliseconds)
      counts.latencyP99Milliseconds = state.latency.quantile(0.99).map(\.milliseconds)
      return counts
    }
  }

  /// Forgets latencies seen so far, so that a measurement starts clean.
  public func resetLatency() { state.withLock { $0.latency = LatencyHistogram() } }

  func count(_ event: Event) {
    switch event {
    case .elected: dispatching.store(true, ordering: .relaxed)
    case .dispatcherLost: dispatching.store(false, ordering: .relaxed)
    default: break
    }
    state.withLock { state in
      switch event {
      case .chunkCompleted(let completion):
        state.counts.add(completion)
        if let latency = completion.latency { state.latency.add(latency) }
      case .ticked(_, let changes, _):
        state.counts.ticks += 1
        state.counts.changes += Int64(changes)
      case .slept: state.counts.sleeps += 1
      case .rung: state.counts.rings += 1
      case .safetyPollHit: state.counts.safetyPollHits += 1
      case .elected: state.counts.elections += 1
      case .chunkRescued: state.counts.chunksRescued += 1
      case .chunkLost: state.counts.chunksLost += 1
      case .chunkFailed: state.counts.chunksFailed += 1
      case .chunkRetried: state.counts.chunksRetried += 1
      case .connectionLost, .dispatcherLost: state.counts.connectionsLost += 1
      case .modelLoaded: state.counts.modelsLoaded += 1
      case .scorerSuspended: state.counts.scorersSuspended += 1
      case .maintenanceFailed: state.counts.maintenanceFailures += 1
      case .workerStarted, .workerStopped, .chunksMade, .jobsScheduled, .sessionEnded,
        .laneConnected, .chunkMapped, .lagBroken, .lagKept, .connectionsShort,
        .connectionsRestored, .pressed, .relieved, .copyRefused, .scorerResumed,
        .canaryStopped, .deviceMissing, .discrepanciesFound, .expectationFailed, .modelRefused,
        .modelInspected:
        break
      }
    }
  }
}

extension WorkerStatistics.Snapshot {
  fileprivate mutating func add(_ completion: Event.Completion) {
    chunks += 1
    chunksCopied += completion.isCopied ? 1 : 0
    rowsScored += Int64(completion.rows - completion.failures)
    rowsFailed += Int64(completion.failures)
    readSeconds += completion.read.seconds
    predictSeconds += completion.predict.seconds
    writeSeconds += completion.write.seconds
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
  var milliseconds: Double { seconds * 1000 }
}

internal import Logging

/// What a worker did or met. The log, the statistics and the tests each switch over it.
public enum Event: Sendable, Equatable {
  case workerStarted(name: String, lanes: Int)
  case workerStopped(name: String)
  /// This process's dispatcher holds the election.
  case elected
  case dispatcherLost(reason: String)
  case ticked(tick: Int64, changes: Int, chunks: Int)
  /// The dispatcher took the doorbell and waits to be rung.
  case slept
  case rung
  /// Changes lay there although nobody had rung: the doorbell's promise was broken.
  case safetyPollHit(changes: Int)
  case chunksMade(count: Int)
  case jobsScheduled(count: Int)
  case chunkRescued(chunk: Int64, action: String)
  /// An audit met keys whose outcome is missing, stale or left over.
  case discrepanciesFound(scorer: String, keys: Int)
  case sessionEnded(pid: Int)
  case laneConnected(lane: Int)
  case connectionLost(part: String, reason: String)
  case chunkCompleted(Completion)
  /// Changes of a relation beside the source were mapped to keys, which made that many chunks.
  case chunkMapped(chunk: Int64, chunks: Int)
  /// Another worker had the chunk: the result was dropped.
  case chunkLost(chunk: Int64, reason: String)
  case chunkFailed(chunk: Int64, scorer: String, reason: String)
  case chunkRetried(chunk: Int64, reason: String)
  /// A row was there before the copy; the chunk was written by upsert instead.
  case copyRefused(chunk: Int64)
  case scorerSuspended(scorer: String, reason: String)
  case scorerResumed(scorer: String)
  /// A scorer has changes that are older than its contract of lag allows.
  case lagBroken(scorer: String, lag: Duration, maxLag: Duration)
  /// And has none any more.
  case lagKept(scorer: String)
  /// The budget of sessions leaves the worker fewer than it would have; it goes on with what it has.
  case connectionsShort(connections: Int, wanted: Int, budget: Int, lanes: Int)
  case connectionsRestored(connections: Int)
  /// The server is in trouble: jobs hold back.
  case pressed(reason: String)
  /// It is no more, and jobs go on as before.
  case relieved
  /// Rows were not as expected; at most once a second a scorer and expectation.
  case expectationFailed(scorer: String, expectation: String, reason: String)
  /// It did worse than it may; its rows are scored again by the scorer's own version.
  case canaryStopped(canary: Int64, reason: String)
  case modelLoaded(model: String, version: Int, byteCount: Int, duration: Duration)
  /// Its device is auto, and this worker has no GPU: it runs on the CPU.
  case deviceMissing(model: String, version: Int)
  case modelRefused(model: String, version: Int, reason: String)
  case modelInspected(model: String, version: Int)
  case maintenanceFailed(step: String, reason: String)

  /// What a chunk that is written came to.
  public struct Completion: Sendable, Equatable {
    public var chunk: Int64
    public var scorer: String
    public var rows: Int
    /// Features that were read of each row: those that the model uses, once it is known.
    public var features: Int
    public var failures: Int
    /// Written by COPY rather than by upsert.
    public var isCopied: Bool
    public var read: Duration
    public var predict: Duration
    public var write: Duration
    /// From the oldest change to the commit of its prediction, by the worker's clock; nil for jobs.
    public var latency: Duration?

    public init(
      chunk: Int64, scorer: String, rows: Int, features: Int, failures: Int, isCopied: Bool,
      read: Duration,
      predict: Duration, write: Duration, latency: Duration?
    ) {
      self.chunk = chunk
      self.scorer = scorer
      self.rows = rows
      self.features = features
      self.failures = failures
      self.isCopied = isCopied
      self.read = read
      self.predict = predict
      self.write = write
      self.latency = latency
    }
  }
}

extension Event {
  /// Writes the line that an operator wants, if any: what is routine is counted, not logged.
  func log(to logger: Logger) {
    switch self {
    case .ticked, .slept, .rung, .chunkCompleted, .chunkMapped, .chunksMade, .copyRefused:
      break  // The statistics count them; a line each would be noise.
    case .workerStarted(let name, let lanes):
      logger.info("worker started", metadata: ["worker": "\(name)", "lanes": "\(lanes)"])
    case .workerStopped(let name):
      logger.info("worker stopped", metadata: ["worker": "\(name)"])
    case .elected:
      logger.info("this worker dispatches")
    case .dispatcherLost(let reason):
      logger.warning("dispatcher lost its connection", metadata: ["reason": "\(reason)"])
    case .safetyPollHit(let changes):
      logger.error(
        "changes were found that nobody had rung for", metadata: ["changes": "\(changes)"])
    case .chunkRescued(let chunk, let action):
      logger.notice(
        "chunk of a dead lane rescued", metadata: ["chunk": "\(chunk)", "action": "\(action)"])
    case .discrepanciesFound(let scorer, let keys):
      logger.notice(
        "audit found rows without their prediction",
        metadata: ["scorer": "\(scorer)", "keys": "\(keys)"])
    case .sessionEnded(let pid):
      logger.warning("session of a stalled worker ended", metadata: ["pid": "\(pid)"])
    case .laneConnected(let lane):
      logger.debug("lane connected", metadata: ["lane": "\(lane)"])
    case .connectionLost(let part, let reason):
      logger.warning(
        "connection lost", metadata: ["part": "\(part)", "reason": "\(reason)"])
    case .chunkLost(let chunk, let reason):
      logger.notice(
        "chunk lost to another lane", metadata: ["chunk": "\(chunk)", "reason": "\(reason)"])
    case .chunkFailed(let chunk, let scorer, let reason):
      logger.error(
        "chunk cannot be scored",
        metadata: ["chunk": "\(chunk)", "scorer": "\(scorer)", "reason": "\(reason)"])
    case .chunkRetried(let chunk, let reason):
      logger.notice(
        "chunk is tried again", metadata: ["chunk": "\(chunk)", "reason": "\(reason)"])
    case .scorerSuspended(let scorer, let reason):
      logger.error(
        "scorer suspended", metadata: ["scorer": "\(scorer)", "reason": "\(reason)"])
    case .scorerResumed(let scorer):
      logger.notice("scorer resumed", metadata: ["scorer": "\(scorer)"])
    case .lagBroken(let scorer, let lag, let maxLag):
      logger.warning(
        "contract of lag broken",
        metadata: ["scorer": "\(scorer)", "lag": "\(lag)", "max_lag": "\(maxLag)"])
    case .connectionsShort(let connections, let wanted, let budget, let lanes):
      logger.warning(
        lanes > 0
          ? "fewer connections than wanted" : "too few connections: this worker stands by",
        metadata: [
          "connections": "\(connections)", "wanted": "\(wanted)", "budget": "\(budget)",
          "lanes": "\(lanes)",
        ])
    case .connectionsRestored(let connections):
      logger.notice("as many connections as wanted", metadata: ["connections": "\(connections)"])
    case .pressed(let reason):
      logger.warning("jobs hold back", metadata: ["reason": "\(reason)"])
    case .relieved:
      logger.notice("jobs go on as before")
    case .lagKept(let scorer):
      logger.notice("contract of lag kept again", metadata: ["scorer": "\(scorer)"])
    case .expectationFailed(let scorer, let expectation, let reason):
      logger.warning(
        "expectation not met",
        metadata: ["scorer": "\(scorer)", "expectation": "\(expectation)", "reason": "\(reason)"])
    case .canaryStopped(let canary, let reason):
      logger.warning("canary stopped", metadata: ["canary": "\(canary)", "reason": "\(reason)"])
    case .modelLoaded(let model, let version, let byteCount, let duration):
      logger.info(
        "model loaded",
        metadata: [
          "model": "\(model)", "version": "\(version)", "bytes": "\(byteCount)",
          "duration": "\(duration)",
        ])
    case .deviceMissing(let model, let version):
      logger.notice(
        "model runs on the CPU: its device is auto, and no GPU is here",
        metadata: ["model": "\(model)", "version": "\(version)"])
    case .modelRefused(let model, let version, let reason):
      logger.error(
        "model refused",
        metadata: ["model": "\(model)", "version": "\(version)", "reason": "\(reason)"])
    case .jobsScheduled(let count):
      logger.info("jobs of schedules made", metadata: ["jobs": "\(count)"])
    case .modelInspected(let model, let version):
      logger.info("model inspected", metadata: ["model": "\(model)", "version": "\(version)"])
    case .maintenanceFailed(let step, let reason):
      logger.error("maintenance failed", metadata: ["step": "\(step)", "reason": "\(reason)"])
    }
  }
}

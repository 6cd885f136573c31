public import Postgres

/// What a worker is told once, when it is made.
public struct WorkerConfiguration: Sendable {
  public var settings: ConnectionSettings
  /// As the worker view shows it; `host:pid` unless given.
  public var name: String
  /// Threads that score, each with a connection. By default a core each.
  public var laneCount: Int
  /// Whether this worker stands for the election of the dispatcher.
  public var dispatches: Bool
  /// Bytes of models kept loaded; by default a quarter of the memory that the process may use.
  public var modelByteCount: Int
  /// How long lanes may take to finish their chunk when the worker stops.
  public var shutdownGrace: Duration
  /// How long the dispatcher sleeps unrung before it looks whether a ring was missed.
  public var safetyPoll: Duration
  /// How often a worker that hears nothing asks for chunks.
  public var fallbackPoll: Duration
  /// How often the worker says that it lives.
  public var beat: Duration
  /// Silence after which the sessions of a worker that holds chunks are ended.
  public var stallTimeout: Duration
  /// The directory that jobs may read and write files in; nil for none.
  public var filesDirectory: String?

  public init(settings: ConnectionSettings) {
    self.settings = settings
    name = "\(Machine.hostName):\(Machine.processID)"
    laneCount = Machine.coreCount
    dispatches = true
    modelByteCount = max(64 << 20, Machine.memoryByteCount / 4)
    shutdownGrace = .seconds(5)
    safetyPoll = .seconds(5)
    fallbackPoll = .seconds(2)
    beat = .seconds(1)
    stallTimeout = .seconds(10)
  }
}

public import Postgres

/// What a worker is told once, when it is made.
public struct WorkerConfiguration: Sendable {
  public var settings: ConnectionSettings
  /// As the worker view shows it; `host:pid` unless given.
  public var name: String
  /// Threads that score, each with a connection. By default a core each, also when the process is
  /// given more or fewer while it runs.
  public var laneCount: Int { didSet { followsMachine = false } }
  /// Whether lanes follow the cores; false once their number was given.
  public private(set) var followsMachine = true
  /// Connections of this worker at most, beside what the database's budget leaves it; nil for no
  /// limit of its own.
  public var connectionLimit: Int?
  /// Whether there is one lane more, which takes live changes alone and sleeps while there are none.
  public var keepsLiveLane: Bool
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
  /// How long a statement of any session may take, but for SQL of jobs' own steps.
  public var statementTimeout: Duration
  /// The directory that jobs may read and write files in; nil for none.
  public var filesDirectory: String?
  /// Called with the database's process of each session that works through many rows, when it begins: those of
  /// lanes, of jobs' steps, and of what cuts jobs and audits. nil where nobody wants to know.
  public var onBatchSession: (@Sendable (_ backend: Int32) -> Void)?

  public init(settings: ConnectionSettings) {
    self.settings = settings
    name = "\(Machine.hostName):\(Machine.processID)"
    laneCount = Machine.coreCount
    keepsLiveLane = true
    dispatches = true
    modelByteCount = max(64 << 20, Machine.memoryByteCount / 4)
    shutdownGrace = .seconds(5)
    safetyPoll = .seconds(5)
    fallbackPoll = .seconds(2)
    beat = .seconds(1)
    stallTimeout = .seconds(10)
    statementTimeout = .seconds(600)
  }
}

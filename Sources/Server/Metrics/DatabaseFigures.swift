/// What the database says of scorers, jobs and workers, as `sql/serving/figures.sql` writes it. Lengths of time are
/// seconds.
struct DatabaseFigures: Decodable, Sendable {
  /// Of one scorer, or of all that have no entry of their own.
  struct Scorer: Decodable, Sendable {
    var name: String
    /// How many scorers of the entry are in each state.
    var active: Double
    var paused: Double
    var suspended: Double
    var changeRows: Double
    var availableRows: Double
    var runningRows: Double
    var availableChunks: Double
    var runningChunks: Double
    var oldest: Double
    var workSeconds: Double
    /// nil where nobody said.
    var maxLag: Double?
    var breaches: Double
    /// No more than `mostFailures` of each scorer are counted.
    var failures: Double
    var heldRules: Double
    var rowsScored: Double
    var rowsFailed: Double
    var chunks: Double
    var readSeconds: Double
    var predictSeconds: Double
    var writeSeconds: Double
    var latencySeconds: Double
    /// Empty where nothing was scored yet.
    var latencyCounts: [Double]
  }

  struct Worker: Decodable, Sendable {
    var name: String
    var lanes: Double
    /// nil where its release does not tell.
    var resident: Double?
    var models: Double?
    var modelCount: Double?
  }

  struct Drift: Decodable, Sendable {
    var scorer: String
    var kind: String
    var index: Double
  }

  var schema: Double
  var database: String
  var scorers: [Scorer]
  /// nil where no job runs that belongs to no scorer.
  var jobSeconds: Double?
  var jobs: [String: Double]
  var idleJob: Double
  var liveWorkers: Double
  var silentWorkers: Double
  var dispatchers: Double
  var pressedWorkers: Double
  var connections: Double
  var connectionBudget: Double
  var workers: [Worker]
  var events: [String: Double]
  var notificationQueue: Double

  /// Scorers, and workers, that have entries of their own.
  static let most = 100
  static let mostFailures = 1000
}

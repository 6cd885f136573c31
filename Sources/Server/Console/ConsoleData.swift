/// What the database says of itself, as `sql/serving/console.sql` writes it. Moments are seconds since 1970,
/// lengths of time seconds.
enum ConsoleData {
  struct Overview: Decodable {
    var scorers: [Scorer]
    var alerts: [Alert]
    var workers: Int
    var lanes: Int
    var jobs: [Job]
  }

  struct Scorer: Decodable {
    var name: String
    var source: String
    /// Its model, or the template of its models' names.
    var model: String?
    var alias: String
    var pinnedVersion: Int?
    var isRouted: Bool
    var state: String
    var reason: String?
    var backlog: Int64
    var oldest: Double?
    var maxLag: Double?
    var isLate: Bool?
    var rate: Double
    /// `mostFailures` where there are more.
    var failures: Int64
    var lastError: String?
    var meanLatency: Double?
    var longestLatency: Double?
    /// Minutes ago, and rows a second then.
    var rates: [[Double]]

    static let mostFailures: Int64 = 10_000
  }

  struct Alert: Decodable {
    var level: String
    var kind: String
    var scorer: String
    var subject: String?
    var reason: String?
    var since: Double?
  }

  struct Job: Decodable {
    var id: Int64
    var scorer: String?
    /// The scorer whose page tells of it: of a shadow the one that it runs beside.
    var page: String?
    var kind: String
    var state: String
    var rowsDone: Int64?
    var rowsFailed: Int64?
    var rowsTotal: Int64?
    var done: Double
    var rate: Double?
    var eta: Double?
    var elapsed: Double?
    var createdBy: String
    var createdAt: Double
    var model: String?
    var version: Int?
    var source: String?
    var destination: String?
    var phase: String?
    var error: String?
  }

  struct ScorerDetails: Decodable {
    struct Column: Decodable {
      var input: String?
      var column: String?
      var type: String?
    }

    struct Minute: Decodable {
      var ago: Int
      var rows: Int64
      var failed: Int64
      var mean: Double?
      var longest: Double?
    }

    struct Lag: Decodable {
      var maxLag: Double
      var lag: Double
      var isKept: Bool
      var breaches: Int64
      var longest: Double?
    }

    struct Rule: Decodable {
      var name: String
      var kind: String
      var column: String?
      var action: String
      var minimum: Double?
      var maximum: Double?
      var tolerance: Double?
      var isHeld: Bool
      var reason: String?
      var checked: Int64?
      var failed: Int64?
    }

    struct Rollout: Decodable {
      var kind: String
      var alias: String?
      var version: Int?
      var share: Double?
      var state: String
      var reason: String?
      var rows: Int64?
      var failed: Int64?
      var championRows: Int64?
      var championFailed: Int64?
      var startedAt: Double
      var endedAt: Double?
    }

    var createdAt: Double
    var createdBy: String
    var isQuery: Bool
    var chunkRows: Int
    var features: [Column]
    var featureCount: Int
    var outputs: [Column]
    var minutes: [Minute]
    var lag: Lag?
    var rules: [Rule]
    var rollouts: [Rollout]
  }

  struct Failures: Decodable {
    struct Row: Decodable {
      var scorer: String
      /// nil where the reader might not read the row itself.
      var key: String?
      var code: String
      var reason: String?
      var model: String?
      var version: Int?
      var at: Double
    }

    struct Group: Decodable {
      var scorer: String
      var code: String
      var count: Int64
      var example: String?
      var at: Double
    }

    var rows: [Row]
    var groups: [Group]
    /// Whether only the newest were looked at.
    var isPart: Bool
  }

  struct ListedModel: Decodable {
    var name: String
    var description: String?
    var newest: Int?
    var versions: Int
    var aliases: [String: Int]
    var state: String?
    var format: String?
    var createdAt: Double
    var runsOn: String?
  }

  struct Model: Decodable {
    struct Version: Decodable {
      var version: Int
      var state: String
      var refusal: String?
      var format: String?
      var aliases: [String]
      var byteCount: Int64
      var sha256: String
      var goldenRows: Int
      var metrics: String?
      var createdAt: Double
      var createdBy: String
    }

    struct Move: Decodable {
      var alias: String
      var old: Int?
      var new: Int?
      var at: Double
      var by: String
    }

    struct Entry: Decodable {
      var part: String
      var position: Int
      var name: String
      var type: String
      var missing: String?
      var role: String?
      var `class`: String?
      var isImage: Bool
    }

    var name: String
    var description: String?
    var createdAt: Double
    var createdBy: String
    var runsOn: String?
    var versions: [Version]
    var moves: [Move]
    var signatureVersion: Int?
    var signature: [Entry]
  }

  struct Worker: Decodable {
    var id: Int
    var name: String
    var host: String?
    var pid: Int?
    var release: String?
    var lanes: Int
    var bulkLanes: Int?
    var isDispatcher: Bool
    var startedAt: Double
    var lastSeen: Double
    var chunks: Int
    var used: Int?
    var connections: Int?
    var wanted: Int?
    var pressure: String?
    var devices: [String]?
  }

  struct DriftedColumn: Decodable {
    var column: String
    var kind: String
    var hour: Double
    var rows: Int64
    var psi: Double?
    var shift: Double?
    var spread: Double?
    var missing: Double?
    var baselineMissing: Double?
    var baseline: String?
    /// Hours ago, and the index then.
    var hours: [[Double?]]
  }
}

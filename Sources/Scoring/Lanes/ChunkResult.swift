internal import Inference
internal import Postgres

/// A chunk's rows as they were read.
struct ChunkRows {
  var count: Int
  /// The key's columns, unread.
  var keys: [RawColumn]
  /// In the scorer's order of features.
  var features: [Column]
  /// The model of each row, where the scorer routes; nil where a routing column is NULL.
  var models: [String?]?
  /// Whether each row falls to the scorer's canary, where one runs.
  var canaryMembers: [Bool]?
  /// Which of the features were read; the others are blank.
  var reads: [Bool]
  /// How many of the features were read.
  var readCount: Int { reads.count { $0 } }

  /// A chunk whose rows are gone, or of which there were none to read.
  static func none(_ plan: ScorerPlan) -> ChunkRows {
    ChunkRows(
      count: 0, keys: plan.keyTypes.map { RawColumn(typeOID: $0.element) }, features: [],
      models: nil, reads: [])
  }
}

/// What the models made of a chunk's rows.
struct ChunkResult {
  /// A row that could not be scored, with the model that would have, where it is known.
  struct Failure {
    var row: Int
    var code: String
    var reason: String
    var model: String?
    var version: Int32?
  }

  /// What a model's part of the rows took.
  struct Share {
    var model: String
    var version: Int32
    var rows: Int
    /// Processor time of predicting.
    var predictSeconds: Double
  }

  /// The model that scored: one for all rows, or one a row.
  enum Attribution {
    case all(name: String, version: Int32)
    case each(names: [String], versions: [Int32])
    /// There are no rows.
    case none
  }

  /// A column for each output, over all rows; unspecified in failed ones.
  var outputs: [Column]
  var attribution: Attribution
  /// In row order, at most one a row.
  var failures: [Failure]
  /// A model each that was used.
  var shares: [Share] = []

  /// The rows that were scored; nil where all were.
  func scoredRows(of count: Int) -> [Int]? {
    guard !failures.isEmpty else { return nil }
    var isFailed = Array(repeating: false, count: count)
    for failure in failures { isFailed[failure.row] = true }
    return (0..<count).filter { !isFailed[$0] }
  }
}

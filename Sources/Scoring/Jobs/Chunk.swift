internal import FoundationEssentials
internal import Postgres

/// Rows that one lane scores at once, as the claim hands them out.
struct Chunk: Sendable, Equatable {
  enum Kind: String, Sendable {
    /// The keys that a tick collected.
    case keys
    /// Keys from `lowerKey` to `upperKey`, both inclusive, for a job.
    case range
    /// The source was emptied.
    case truncate
    /// Keys of a relation beside the source, to be mapped to keys of the scorer; the database does
    /// that when it is told to.
    case map
    /// Of a job: the rows of the table `keys` from the place `lowerKey` up to, not including,
    /// `upperKey`; or, where `lowerKey` is an array of places, those.
    case tid
    /// Of a job: the bytes of the file `keys` from `lowerKey` up to, not including, `upperKey`.
    case file
    /// Of a job: what `keys` names.
    case step
  }

  /// `chunk.priority` of changes.
  static let livePriority: Int16 = 0
  /// `chunk.priority` of a backfill: its keys are most likely new in the prediction table.
  static let backfillPriority: Int16 = 2

  var id: Int64
  /// The fence: a write that carries an older attempt is refused.
  var attempt: Int32
  var lane: Int32
  /// 0 for a chunk of a job that has a source and a destination of its own.
  var scorer: Int32
  var scorerRevision: Int64
  var kind: Kind
  /// Text of an array of the key's type; opaque here.
  var keys: String?
  var keyCount: Int32?
  var lowerKey: String?
  var upperKey: String?
  var tick: Int64
  var job: Int64?
  var priority: Int16
  /// The model that the scorer's alias points at; nil where each row is routed.
  var model: ModelVersionID?
  /// Grows with each change of a model or an alias.
  var registryRevision: Int64
  /// Of the oldest change in the chunk; nil for jobs.
  var changedAt: Date?

  /// Whether it is all from one place or key to another.
  var isRange: Bool {
    kind == .range || kind == .tid && lowerKey?.hasPrefix("{") != true
  }

  /// The job whose plan says what to do; nil where a scorer does.
  var ownJob: Int64? { scorer == 0 ? job : nil }
}

/// One immutable version of a model.
package struct ModelVersionID: Hashable, Sendable {
  package var model: Int32
  package var version: Int32

  package init(model: Int32, version: Int32) {
    self.model = model
    self.version = version
  }
}

extension Chunk {
  /// Reads the claimed chunk in a row of `claim_chunks` or `tick`; nil where the row holds none.
  init?(_ rows: Rows, row: Int) throws(PostgresError) {
    guard let id = try rows.value(row, "chunk_id", as: Int64?.self) else { return nil }
    let name = try rows.value(row, "kind", as: String.self)
    guard let kind = Kind(rawValue: name) else {
      throw PostgresError(
        sqlState: "0A000", message: "chunk \(id) is of kind \"\(name)\"",
        hint: "The database is of a newer release; update this worker.")
    }
    self.id = id
    self.kind = kind
    attempt = try rows.value(row, "attempt")
    lane = try rows.value(row, "lane_id")
    scorer = try rows.value(row, "scorer_id", as: Int32?.self) ?? 0
    scorerRevision = try rows.value(row, "scorer_revision")
    keys = try rows.value(row, "keys")
    keyCount = try rows.value(row, "key_count")
    lowerKey = try rows.value(row, "lower_key")
    upperKey = try rows.value(row, "upper_key")
    tick = try rows.value(row, "tick_id")
    job = try rows.value(row, "job_id")
    priority = try rows.value(row, "priority")
    if let model = try rows.value(row, "model_id", as: Int32?.self),
      let version = try rows.value(row, "model_version", as: Int32?.self)
    {
      self.model = ModelVersionID(model: model, version: version)
    }
    registryRevision = try rows.value(row, "registry_revision")
    changedAt = try rows.value(row, "changed_at")
  }
}

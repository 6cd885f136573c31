public import FoundationEssentials
public import Inference
public import Postgres

/// The models of a database: registering versions and listing them.
public struct Registry {
  private let connection: Connection

  public init(_ connection: Connection) { self.connection = connection }

  /// A file to be registered, with what is said of it.
  public struct Submission: Sendable {
    public var name: String
    public var bytes: [UInt8]
    /// Points at the new version from then on; nil to leave aliases alone.
    public var alias: String?
    /// Names of the classes, in the model's order.
    public var labels: [String]?
    /// A CSV file whose columns are named as the model's features and outputs.
    public var goldenCSV: [UInt8]?
    public var description: String?
    /// A JSON object.
    public var metrics: String?
    /// What the bytes do not say.
    public var setup: ModelSetup
    /// Where all versions of the model run from then on; nil to leave that alone.
    public var device: Device?
    /// The role whose rights count, and whose the version is, where a worker acts for one that lends its rights;
    /// nil for the session's own.
    public var role: String?

    public init(
      name: String, bytes: [UInt8], alias: String? = nil, labels: [String]? = nil,
      goldenCSV: [UInt8]? = nil, description: String? = nil, metrics: String? = nil,
      setup: ModelSetup = ModelSetup(), device: Device? = nil, role: String? = nil
    ) {
      self.name = name
      self.bytes = bytes
      self.alias = alias
      self.labels = labels
      self.goldenCSV = goldenCSV
      self.description = description
      self.metrics = metrics
      self.setup = setup
      self.device = device
      self.role = role
    }
  }

  /// A version as it was registered.
  public struct Pushed: Sendable {
    public var name: String
    public var version: Int
    public var format: ModelFormat
    public var signature: Signature
    public var byteCount: Int
    /// Lower-case hexadecimal digits.
    public var sha256: String
    public var goldenRowCount: Int
    public var alias: String?
    /// False where the model had these bytes, labels and setup already.
    public var isNew: Bool
    /// False where the caller may not record inspections: a worker will, soon.
    public var isReady: Bool
    /// Whether its rows wait, because no worker has the device that it runs on.
    public var lacksDevice: Bool
  }

  /// What a value of PostgreSQL can hold, less room for what is sent with it.
  private static let mostBytes = (1 << 30) - (1 << 20)

  /// Proves that the engine can score the file, then registers it, ready, under its alias.
  ///
  /// All in one transaction; nothing is stored of a file that is refused.
  ///
  /// - Throws: `.model` with the operator, tree or line at fault; `.scoring` of code `.golden` where
  ///   a golden row disagrees, `.file` where the golden file cannot be read; else `.postgres`.
  public func push(_ submission: Submission) throws(WorkError) -> Pushed {
    let model: Model
    do throws(ModelError) {
      guard submission.bytes.count <= Self.mostBytes else {
        throw ModelError(
          .tooLarge,
          "model has \(submission.bytes.count) bytes, a database takes \(Self.mostBytes)",
          hint: "Export the weights as float16, or quantize them.")
      }
      model = try Model.load(
        submission.bytes, labels: submission.labels,
        options: ModelOptions(setup: submission.setup))
    } catch {
      throw .model(error)
    }
    if submission.device == .gpu, !model.isNetwork {
      throw .scoring(
        ScoringError(
          .model, "device gpu runs networks of tensors, images and texts; this model is none",
          hint: "Leave the device out: it runs on the CPU."))
    }
    var golden = GoldenRows(rows: [])
    if let csv = submission.goldenCSV {
      do throws(ScoringError) {
        golden = try GoldenRows.read(csv: csv, for: model.signature)
      } catch {
        throw .scoring(error)
      }
      try golden.verify(model, named: "model \"\(submission.name)\"")
    }
    do throws(PostgresError) {
      return try connection.transaction { () throws(PostgresError) in
        try register(submission, model, golden)
      }
    } catch {
      throw .postgres(error)
    }
  }

  private func register(_ submission: Submission, _ model: Model, _ golden: GoldenRows)
    throws(PostgresError) -> Pushed
  {
    let known = try versionCount(of: submission.name)
    let values: [any PostgresEncodable] = [
      submission.name, submission.bytes, submission.alias, submission.labels ?? [],
      submission.description, submission.metrics.map(JSON.init),
      golden.rows.isEmpty ? nil : JSON(golden.json()),
      submission.setup.isEmpty ? nil : JSON(submission.setup.json),
    ]
    let version = try connection.run(
      submission.role.map { role in
        Query(
          text: "select rowcast.register_model_for($9, $1, $2, $3, $4, $5, $6, $7, $8)",
          values: values + [role])
      }
        ?? Query(
          text: "select rowcast.register_model($1, $2, $3, $4, $5, $6, $7, $8)", values: values)
    ).value(0, 0, as: Int32.self)
    // Who may not speak for the engine leaves the inspection to a worker.
    let mayInspect = try connection.run(
      """
      select has_function_privilege(\
      'rowcast.record_inspection(int, int, jsonb, text, text)', 'execute')
      """
    ).value(0, 0, as: Bool.self)
    if mayInspect {
      try connection.run(
        """
        select rowcast.record_inspection(i.model_id, i.version, \
        \(JSON(Inspection.json(model))), null, \(model.format.rawValue)) \
        from rowcast.models_to_inspect() as i \
        where i.name = \(submission.name) and i.version = \(version)
        """)
    }
    let stored = try connection.run(
      """
      select state, sha256, refusal, wanted_alias, alias_refusal from rowcast.model_versions \
      where model = \(submission.name) and version = \(version)
      """)
    if let refusal = try stored.value(0, "refusal", as: String?.self) {
      throw PostgresError(
        sqlState: "RC102",
        message: "version \(version) of model \"\(submission.name)\" was refused: \(refusal)")
    }
    if let refusal = try stored.value(0, "alias_refusal", as: String?.self) {
      throw PostgresError(
        sqlState: "RC104",
        message: "alias \"\(submission.alias ?? "")\" cannot point at it: \(refusal)")
    }
    if let device = submission.device {
      try connection.run("select rowcast.set_device(\(submission.name), \(device.rawValue))")
    }
    var lacksDevice = false
    if submission.device == .gpu {
      lacksDevice = try !connection.run("select rowcast.has_device('gpu')").value(
        0, 0, as: Bool.self)
    }
    return Pushed(
      name: submission.name, version: Int(version), format: model.format,
      signature: model.signature, byteCount: submission.bytes.count,
      sha256: try stored.value(0, "sha256"), goldenRowCount: golden.rows.count,
      alias: submission.alias, isNew: try versionCount(of: submission.name) > known,
      isReady: try stored.value(0, "state", as: String.self) == "ready", lacksDevice: lacksDevice)
  }

  private func versionCount(of model: String) throws(PostgresError) -> Int64 {
    try connection.run("select count(*) from rowcast.model_versions where model = \(model)")
      .value(0, 0)
  }

  /// A version as the registry lists it.
  public struct ListedVersion: Sendable, Codable {
    public var model: String
    public var version: Int
    /// `registered` until a worker has inspected it, then `ready` or `refused`.
    public var state: String
    public var refusal: String?
    public var format: String?
    public var aliases: [String]
    public var byteCount: Int
    public var sha256: String
    public var goldenRowCount: Int
    public var createdAt: Date
    public var createdBy: String
  }

  /// All versions, by model and number.
  public func versions() throws(PostgresError) -> [ListedVersion] {
    let rows = try connection.run(
      """
      select model, version, state, refusal, format, coalesce(aliases, '{}') as aliases, \
      byte_count, sha256, golden_rows, created_at, created_by \
      from rowcast.model_versions order by model, version
      """)
    var versions: [ListedVersion] = []
    for row in 0..<rows.count {
      versions.append(
        ListedVersion(
          model: try rows.value(row, "model"),
          version: Int(try rows.value(row, "version", as: Int32.self)),
          state: try rows.value(row, "state"),
          refusal: try rows.value(row, "refusal"),
          format: try rows.value(row, "format"),
          aliases: try rows.value(row, "aliases"),
          byteCount: Int(try rows.value(row, "byte_count", as: Int64.self)),
          sha256: try rows.value(row, "sha256"),
          goldenRowCount: Int(try rows.value(row, "golden_rows", as: Int64.self)),
          createdAt: try rows.value(row, "created_at"),
          createdBy: try rows.value(row, "created_by")))
    }
    return versions
  }
}

/// Names of a model's classes, as `--labels` reads them.
public enum Labels {
  /// A name a line, in the model's order of classes; the end of the last line may be missing.
  ///
  /// - Throws: `.file` for an empty file or line, or bytes that are not UTF-8.
  public static func read(_ bytes: [UInt8]) throws(ScoringError) -> [String] {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ScoringError(.file, "the labels are not UTF-8")
    }
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .map(String.init)
    if lines.last == "" { lines.removeLast() }
    guard !lines.isEmpty else { throw ScoringError(.file, "the file of labels is empty") }
    if let empty = lines.firstIndex(of: "") {
      throw ScoringError(.file, "line \(empty + 1) of the labels is empty")
    }
    return lines
  }
}

internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Reads the models that were registered from plain SQL, and records their signature, or why the
/// engine refuses them.
///
/// Runs in the dispatcher's process, on a thread of its own: a large model takes seconds.
final class Inspector {
  private let context: WorkerContext

  init(_ context: WorkerContext) { self.context = context }

  /// Inspects whenever it is woken, until the worker stops.
  func run() {
    while !context.isStopping {
      context.inspection.clear()
      if context.isStopping { return }
      var pause = Duration.seconds(30)
      if context.events.statistics.isDispatching {
        do throws(WorkError) {
          try context.withSpareSession { () throws(WorkError) in try inspectAll() }
        } catch {
          if context.isStopping { return }
          context.events(.maintenanceFailed(step: "inspect", reason: error.message))
          pause = .seconds(1)
        }
      }
      _ = context.inspection.wait(timeout: pause)
    }
  }

  /// Connects for as long as there is something to do: models are registered seldom.
  private func inspectAll() throws(WorkError) {
    let connection = try database { () throws(PostgresError) in
      try Connection(context.settings(for: "inspector"), wakeUp: context.stopping)
    }
    defer { connection.close() }
    let versions = try database { () throws(PostgresError) in
      let rows = try connection.run("select model_id, version from rowcast.models_to_inspect()")
      var versions: [ModelVersionID] = []
      for row in 0..<rows.count {
        versions.append(
          ModelVersionID(
            model: try rows.value(row, 0, as: Int32.self),
            version: try rows.value(row, 1, as: Int32.self)))
      }
      return versions
    }
    for id in versions where !context.isStopping { try inspect(id, on: connection) }
  }

  private func inspect(_ id: ModelVersionID, on connection: Connection) throws(WorkError) {
    let stored = try StoredVersion.read(id, on: connection)
    let golden = try GoldenRows.stored(for: id, on: connection)
    var inspection = Inspection()
    do throws(WorkError) {
      let model = try stored.open()
      try golden.verify(model, named: "model \"\(stored.name)\" \(id.version)")
      inspection.accept(model)
    } catch {
      inspection.refusal = error.message
    }
    try database { () throws(PostgresError) in
      try inspection.record(id, on: connection)
    }
    if let refusal = inspection.refusal {
      context.events(
        .modelRefused(model: stored.name, version: Int(id.version), reason: refusal))
    } else {
      context.events(.modelInspected(model: stored.name, version: Int(id.version)))
    }
  }
}

/// What is recorded of a version: a signature, or a refusal.
struct Inspection {
  var signature: String?
  var format: ModelFormat?
  var refusal: String?

  mutating func accept(_ model: Model) {
    signature = Self.json(model)
    format = model.format
    refusal = nil
  }

  func record(_ id: ModelVersionID, on connection: Connection) throws(PostgresError) {
    try connection.run(
      Query(
        text: "select rowcast.record_inspection($1, $2, $3, $4, $5)",
        values: [id.model, id.version, signature.map(JSON.init), refusal, format?.rawValue]))
  }

  /// The signature, with what else the registry keeps of a model beside it.
  private struct Record: Encodable {
    var features: [Signature.Feature]
    var outputs: [Signature.Output]
    /// Whether a scorer may ask for reasons.
    var explained: Bool
  }

  static func json(_ model: Model) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let record = Record(
      features: model.signature.features, outputs: model.signature.outputs,
      explained: model.givesReasons)
    // Strings, truths and enumerations only: encoding cannot fail.
    return String(decoding: try! encoder.encode(record), as: UTF8.self)
  }
}

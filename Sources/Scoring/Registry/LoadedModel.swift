package import Inference
internal import Postgres

/// A version of a model in memory, ready to score.
package final class LoadedModel: Sendable, CustomStringConvertible {
  package let id: ModelVersionID
  package let name: String
  package let model: Model
  package let pace = ScoringPace()
  /// Whether it would run on a GPU and there is none.
  let fellBack: Bool

  package init(id: ModelVersionID, name: String, model: Model, fellBack: Bool = false) {
    self.id = id
    self.name = name
    self.model = model
    self.fellBack = fellBack
  }

  /// As messages name it: `model "churn" 3`.
  package var description: String { "model \"\(name)\" \(id.version)" }
}

extension LoadedModel {
  /// Reads a version from the registry and proves it on its golden rows.
  ///
  /// - Throws: `.scoring` where the registry does not have it ready or its golden rows disagree,
  ///   `.model` where the engine refuses the bytes.
  static func load(
    _ id: ModelVersionID, reasons: Int, on connection: Connection
  ) throws(WorkError) -> LoadedModel {
    let stored = try StoredVersion.read(id, on: connection)
    guard stored.state == "ready" else {
      throw .scoring(
        ScoringError(.model, "model \"\(stored.name)\" \(id.version) is \(stored.state)"))
    }
    let model = try stored.open(reasons: reasons, device: stored.device)
    try GoldenRows.stored(for: id, on: connection)
      .verify(model, named: "model \"\(stored.name)\" \(id.version)")
    return LoadedModel(
      id: id, name: stored.name, model: model,
      fellBack: stored.device == .auto && model.isNetwork && model.device == .cpu)
  }
}

/// A version as the registry keeps it: its bytes and what was said of them.
struct StoredVersion {
  var name: String
  var state: String
  var format: ModelFormat?
  var labels: [String]?
  /// What the bytes do not say, as JSON.
  var setup: String?
  /// Where it is to run.
  var device: Device
  var bytes: [UInt8]

  static func read(_ id: ModelVersionID, on connection: Connection) throws(WorkError)
    -> StoredVersion
  {
    do throws(PostgresError) {
      let header = try connection.run(
        "select * from rowcast.model_header(\(id.model), \(id.version))")
      guard header.count == 1 else {
        throw PostgresError(
          sqlState: "RC101", message: "model \(id.model) has no version \(id.version)")
      }
      let byteCount = try header.value(0, "byte_count", as: Int64.self)
      let parts = try connection.run(
        "select part, bytes from rowcast.load_model(\(id.model), \(id.version)) order by part")
      var bytes: [UInt8] = []
      bytes.reserveCapacity(Int(byteCount))
      for row in 0..<parts.count {
        bytes.append(contentsOf: try parts.value(row, "bytes", as: [UInt8].self))
      }
      guard bytes.count == byteCount else {
        throw PostgresError(
          sqlState: "RC101",
          message: "version \(id.version) of model \(id.model) has \(bytes.count) of "
            + "\(byteCount) bytes")
      }
      return StoredVersion(
        name: try header.value(0, "name", as: String.self),
        state: try header.value(0, "state", as: String.self),
        format: try header.value(0, "format", as: String?.self).flatMap(ModelFormat.init),
        labels: try header.value(0, "labels", as: [String]?.self),
        setup: try header.value(0, "setup", as: String?.self),
        device: try Device(rawValue: header.value(0, "device", as: String.self)) ?? .cpu,
        bytes: bytes)
    } catch {
      throw .postgres(error)
    }
  }

  /// - Parameter device: Where it is to run; to look at it the CPU does.
  func open(reasons: Int = 0, device: Device = .cpu) throws(WorkError) -> Model {
    do throws(ModelError) {
      return try Model.load(
        bytes, format: format, labels: labels,
        options: ModelOptions(
          reasons: reasons, setup: try setup.map(ModelSetup.read(json:)) ?? ModelSetup(),
          device: device))
    } catch {
      throw .model(error)
    }
  }
}

internal import Inference
internal import Postgres

/// Scores a chunk whose rows each name their model: rows are grouped by model, each group scored
/// at once, and the results put back in row order, because keys must be written in order.
struct RoutedPredictor {
  /// What a name means at the registry's present revision.
  enum Resolution {
    /// The model itself is the cache's: a lane that kept all that it ever used would hold a fleet in
    /// memory that the cache has let go.
    case model(ModelVersionID, ModelBinding.Fit)
    /// Every row of that name fails, with the reason.
    case failure(code: String, reason: String, version: Int32?)
  }

  /// Names remembered at most: a fleet has a model a device, and each costs a few hundred bytes.
  private static let capacity = 50_000

  private var resolutions: [String: Resolution] = [:]
  private var revision: Int64 = -1

  /// - Throws: Only what concerns the connection or the whole chunk.
  mutating func predict(
    _ rows: ChunkRows, names: [String?], chunk: Chunk, plan: ScorerPlan, models: ModelCache,
    connection: Connection, workspace: Workspace
  ) throws(WorkError) -> ChunkResult {
    if revision != chunk.registryRevision || resolutions.count > Self.capacity {
      resolutions = [:]
      revision = chunk.registryRevision
    }
    var groups: [String: [Int]] = [:]
    var failures: [ChunkResult.Failure] = []
    for (row, name) in names.enumerated() {
      if let name {
        groups[name, default: []].append(row)
      } else {
        failures.append(
          .init(row: row, code: "unknown_model", reason: "a column of the route is null"))
      }
    }
    try resolve(groups.keys.filter { resolutions[$0] == nil }, plan, models, connection)

    var outputs = plan.outputs.map { Column(blank: $0.type.element, count: rows.count) }
    var versions = Array(repeating: Int32(0), count: rows.count)
    var shares: [ChunkResult.Share] = []
    for (name, members) in groups {
      switch try use(name, plan, models, connection) {
      case .failure(let code, let reason, let version):
        for row in members {
          failures.append(
            .init(row: row, code: code, reason: reason, model: name, version: version))
        }
      case .binding(let binding):
        let cpuStart = ThreadClock.seconds
        let isWhole = members.count == rows.count
        let columns = isWhole ? rows.features : rows.features.map { $0.taking(rows: members) }
        let predictions = try binding.predict(
          columns, rowCount: members.count, workspace: workspace)
        for index in outputs.indices {
          if isWhole {
            outputs[index] = predictions.columns[index]
          } else {
            outputs[index].scatter(predictions.columns[index], to: members)
          }
        }
        for row in members { versions[row] = binding.model.id.version }
        shares.append(
          .init(
            model: name, version: binding.model.id.version, rows: members.count,
            predictSeconds: ThreadClock.seconds - cpuStart))
        for failure in predictions.failures {
          failures.append(
            .init(
              row: members[failure.row], code: failure.code.rawValue, reason: failure.reason,
              model: name, version: binding.model.id.version))
        }
      }
    }
    failures.sort { $0.row < $1.row }
    return ChunkResult(
      outputs: outputs, attribution: .each(names: names.map { $0 ?? "" }, versions: versions),
      failures: failures, shares: shares)
  }

  /// What scores the rows of a name now.
  private enum Means {
    case binding(ModelBinding)
    case failure(code: String, reason: String, version: Int32?)
  }

  private func use(
    _ name: String, _ plan: ScorerPlan, _ models: ModelCache, _ connection: Connection
  )
    throws(WorkError) -> Means
  {
    switch resolutions[name]! {
    case .failure(let code, let reason, let version):
      return .failure(code: code, reason: reason, version: version)
    case .model(let id, let fit):
      do throws(WorkError) {
        return .binding(
          ModelBinding(
            try models.model(id, reasons: plan.reasons, on: connection), fit))
      } catch {
        if case .postgres = error { throw error }
        return .failure(code: "model_refused", reason: error.message, version: id.version)
      }
    }
  }

  /// Asks for all new names at once.
  private mutating func resolve(
    _ names: [String], _ plan: ScorerPlan, _ models: ModelCache, _ connection: Connection
  ) throws(WorkError) {
    guard !names.isEmpty else { return }
    let found = try database { () throws(PostgresError) in
      try connection.run("select * from rowcast.resolve_models(\(names), \(plan.alias))")
    }
    // Lanes that meet the same models at the same time load different ones first, not all the same.
    for row in (0..<found.count).shuffled() {
      let answer = try database { () throws(PostgresError) in
        (
          name: try found.value(row, "name", as: String.self),
          model: try found.value(row, "model_id", as: Int32?.self),
          version: try found.value(row, "version", as: Int32?.self)
        )
      }
      guard let model = answer.model, let version = answer.version else { continue }
      resolutions[answer.name] = try bind(
        ModelVersionID(model: model, version: version), plan, models, connection)
    }
    for name in names where resolutions[name] == nil {
      resolutions[name] = .failure(
        code: "unknown_model", reason: "model \"\(name)\" has no alias \"\(plan.alias)\"",
        version: nil)
    }
  }

  private func bind(
    _ id: ModelVersionID, _ plan: ScorerPlan, _ models: ModelCache, _ connection: Connection
  ) throws(WorkError) -> Resolution {
    do throws(WorkError) {
      let model = try models.model(id, reasons: plan.reasons, on: connection)
      do throws(ScoringError) {
        return .model(id, try ModelBinding.Fit(model, to: plan))
      } catch {
        return .failure(
          code: "model_mismatch", reason: error.message, version: id.version)
      }
    } catch {
      if case .postgres = error { throw error }
      return .failure(code: "model_refused", reason: error.message, version: id.version)
    }
  }
}

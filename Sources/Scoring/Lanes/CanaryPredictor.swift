internal import Inference
internal import Postgres

/// Scores the rows of a chunk by a scorer's own version or by its canary, each row by the one that
/// its key falls to, and puts the results back in row order, because keys must be written in order.
struct CanaryPredictor {
  private enum State {
    case unknown
    case bound(ModelBinding)
    /// The database was told: rows of the canary are the champion's.
    case refused
  }

  private var state = State.unknown
  private let clock = ContinuousClock()

  /// Which of the scorer's features the canary's outputs depend on; nil where that is not known yet.
  var reads: [Bool]? {
    switch state {
    case .unknown: nil
    case .bound(let binding): binding.reads
    case .refused: []
    }
  }

  /// - Parameter members: Whether each row falls to the canary.
  /// - Throws: As the champion alone would. A canary that cannot score ends, and the champion scores
  ///   its rows.
  mutating func predict(
    _ rows: ChunkRows, members: [Bool], champion: ModelBinding, canary: Canary, plan: ScorerPlan,
    models: ModelCache, connection: Connection, workspace: Workspace
  ) throws(WorkError) -> (result: ChunkResult, count: CanaryCount) {
    var count = CanaryCount()
    var shares: [ChunkResult.Share] = []
    let own = members.indices.filter { members[$0] }
    var scored: (predictions: Predictions, binding: ModelBinding)?
    if !own.isEmpty, let binding = try bind(canary, plan, models, connection) {
      do throws(WorkError) {
        let predictions = try time(own.count, &count.canary) { () throws(WorkError) in
          try Self.predict(rows, own, binding, workspace, &shares)
        }
        scored = (predictions, binding)
      } catch {
        try give(up: canary, because: error, connection)
      }
    }
    guard let scored else {
      let predictions = try time(rows.count, &count.champion) { () throws(WorkError) in
        try Self.predict(rows, Array(members.indices), champion, workspace, &shares)
      }
      return (
        ChunkResult(
          outputs: predictions.columns,
          attribution: .all(name: champion.model.name, version: champion.model.id.version),
          failures: Self.failures(predictions, rows: Array(members.indices), champion),
          shares: shares), count
      )
    }

    let others = members.indices.filter { !members[$0] }
    var outputs = plan.outputs.map { Column(blank: $0.type.element, count: rows.count) }
    var versions = Array(repeating: scored.binding.model.id.version, count: rows.count)
    for index in outputs.indices {
      outputs[index].scatter(scored.predictions.columns[index], to: own)
    }
    var failures = Self.failures(scored.predictions, rows: own, scored.binding)
    if !others.isEmpty {
      let predictions = try time(others.count, &count.champion) { () throws(WorkError) in
        try Self.predict(rows, others, champion, workspace, &shares)
      }
      for index in outputs.indices {
        outputs[index].scatter(predictions.columns[index], to: others)
      }
      for row in others { versions[row] = champion.model.id.version }
      failures += Self.failures(predictions, rows: others, champion)
    }
    failures.sort { $0.row < $1.row }
    let names = Array(repeating: champion.model.name, count: rows.count)
    return (
      ChunkResult(
        outputs: outputs, attribution: .each(names: names, versions: versions), failures: failures,
        shares: shares),
      count
    )
  }

  // MARK: The canary's model

  /// Nil where it cannot score for the scorer; the canary is then ended.
  private mutating func bind(
    _ canary: Canary, _ plan: ScorerPlan, _ models: ModelCache, _ connection: Connection
  ) throws(WorkError) -> ModelBinding? {
    switch state {
    case .bound(let binding): return binding
    case .refused: return nil
    case .unknown:
      do throws(WorkError) {
        let model = try models.model(
          canary.model, reasons: plan.reasons, on: connection)
        let binding: ModelBinding
        do throws(ScoringError) {
          binding = try ModelBinding(model, to: plan)
        } catch {
          throw .scoring(error)
        }
        state = .bound(binding)
        return binding
      } catch {
        try give(up: canary, because: error, connection)
        return nil
      }
    }
  }

  private mutating func give(up canary: Canary, because error: WorkError, _ connection: Connection)
    throws(WorkError)
  {
    switch Verdict(error, isUsable: connection.isUsable) {
    case .sessionLost, .chunkLost, .tryAgain, .waitOut, .inTheWay: throw error
    case .scorerUnfit, .chunkFailed: break
    }
    _ = try database { () throws(PostgresError) in
      try connection.run(
        """
        select rowcast.fail_canary(\(canary.id), \
        \(Scrubber.scrub("version \(canary.model.version) cannot score: \(error.message)")))
        """)
    }
    state = .refused
  }

  // MARK: Groups

  private static func predict(
    _ rows: ChunkRows, _ members: [Int], _ binding: ModelBinding, _ workspace: Workspace,
    _ shares: inout [ChunkResult.Share]
  ) throws(WorkError) -> Predictions {
    let columns =
      members.count == rows.count
      ? rows.features : rows.features.map { $0.taking(rows: members) }
    let start = ThreadClock.seconds
    let predictions = try binding.predict(columns, rowCount: members.count, workspace: workspace)
    shares.append(
      ChunkResult.Share(
        model: binding.model.name, version: binding.model.id.version, rows: members.count,
        predictSeconds: ThreadClock.seconds - start))
    return predictions
  }

  /// - Parameter rows: The chunk's row of each predicted one.
  private static func failures(_ predictions: Predictions, rows: [Int], _ binding: ModelBinding)
    -> [ChunkResult.Failure]
  {
    predictions.failures.map {
      .init(
        row: rows[$0.row], code: $0.code.rawValue, reason: $0.reason,
        model: binding.model.name, version: binding.model.id.version)
    }
  }

  private func time(
    _ rowCount: Int, _ arm: inout CanaryCount.Arm, _ body: () throws(WorkError) -> Predictions
  ) throws(WorkError) -> Predictions {
    let start = clock.now
    let predictions = try body()
    arm += .init(
      rows: Int64(rowCount), failures: Int64(predictions.failures.count),
      time: start.duration(to: clock.now))
    return predictions
  }
}

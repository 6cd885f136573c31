internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Reads a chunk's rows, scores them and writes the predictions; keeps what a lane learnt about
/// scorers and models from chunk to chunk.
struct ChunkScorer {
  private let connection: Connection
  private let settings: String
  private let models: ModelCache
  private let observations: Observations
  private let workspace = Workspace()
  private let clock = ContinuousClock()
  private var plans: [Int32: Prepared] = [:]
  private var writer = ChunkWriter()
  private let canaries: CanaryLedger
  /// Whether SQL of a scorer's author ran in the session.
  private var hasLentSession = false

  /// Scorers remembered at most.
  private static let planCapacity = 1000

  /// A scorer at one revision, and the models fitted to it.
  private struct Prepared {
    var plan: ScorerPlan
    var profile: ScorerProfile
    var judge: ExpectationJudge
    var binding: ModelBinding?
    var router = RoutedPredictor()
    var canary = CanaryPredictor()
    /// No feature was NULL in what was read by ranges until now.
    var packs = true
  }

  /// - Parameter settings: statements that make the session a lane's.
  init(
    connection: Connection, settings: String, models: ModelCache, observations: Observations,
    canaries: CanaryLedger
  ) {
    self.connection = connection
    self.settings = settings
    self.models = models
    self.observations = observations
    self.canaries = canaries
  }

  /// The scorer's name, for reports; its number where it is not known yet.
  func name(of scorer: Int32) -> String { plans[scorer]?.plan.name ?? "\(scorer)" }

  /// Whether SQL of a scorer's author ran in the session since this was last asked.
  mutating func takeLentSession() -> Bool {
    defer { hasLentSession = false }
    return hasLentSession
  }

  /// Forgets a scorer, so that the next chunk loads it anew.
  mutating func forget(_ scorer: Int32) { plans[scorer] = nil }

  /// - Throws: Where the chunk as a whole cannot be scored or written. Rows that cannot be scored
  ///   do not throw.
  mutating func score(_ chunk: Chunk) throws(WorkError) -> (Event.Completion, isCopyRefused: Bool) {
    var prepared = try prepare(chunk)
    defer { plans[chunk.scorer] = prepared }
    hasLentSession = hasLentSession || prepared.plan.readsQuery
    let start = clock.now
    let cpuStart = ThreadClock.seconds
    let rows = try read(chunk, &prepared)
    let read = clock.now
    var count: CanaryCount?
    var result = try predict(rows, chunk, &prepared, &count)
    let predicted = clock.now
    var outcomes = prepared.judge.judgeRows(rows, &result)
    let columns = prepared.profile.measure(rows, result)
    let (others, hold) = prepared.judge.judgeTogether(
      columns, tick: chunk.tick, profile: prepared.profile)
    if let hold { throw try self.hold(chunk, hold) }
    outcomes += others
    let outcome = try writer.write(result, of: rows, chunk, prepared.plan, on: connection)
    let written = clock.now
    if let count, let canary = prepared.plan.canary { canaries.add(count, to: canary.id) }
    let latency = chunk.changedAt.map { Duration.seconds(max(0, Date.now.timeIntervalSince($0))) }
    observations.add(
      Observations.Entry(
        chunk: chunk, scorerName: prepared.plan.name, rows: rows, result: result,
        profile: prepared.profile, columns: columns, outcomes: outcomes,
        stages: .init(
          read: start.duration(to: read), predict: read.duration(to: predicted),
          write: predicted.duration(to: written)),
        latency: latency, cpuSeconds: ThreadClock.seconds - cpuStart))
    return (
      Event.Completion(
        chunk: chunk.id, scorer: prepared.plan.name, rows: rows.count,
        features: rows.readCount, failures: result.failures.count, isCopied: outcome == .copied,
        read: start.duration(to: read), predict: read.duration(to: predicted),
        write: predicted.duration(to: written),
        latency: latency),
      outcome == .copyRefused
    )
  }

  /// Has the keys of a watched relation mapped to keys of the scorer; counts the chunks made of them.
  mutating func map(_ chunk: Chunk) throws(WorkError) -> Int {
    hasLentSession = true
    do throws(PostgresError) {
      let made = try connection.run("select rowcast.map_chunk(\(chunk.id), \(chunk.attempt))")
      return Int(try made.value(0, 0, as: Int32.self))
    } catch {
      throw .ofQuery(error, "a mapping failed")
    }
  }

  /// Suspends the scorer; the error says why.
  private func hold(_ chunk: Chunk, _ hold: ExpectationJudge.Hold) throws(WorkError) -> WorkError {
    _ = try database { () throws(PostgresError) in
      try connection.run(
        """
        select rowcast.hold_scorer(\(chunk.scorer), \(hold.expectation), \(hold.reason), \
        \(hold.observed))
        """)
    }
    return .scoring(ScoringError(.scorer, "expectation \"\(hold.name)\": \(hold.reason)"))
  }

  private mutating func prepare(_ chunk: Chunk) throws(WorkError) -> Prepared {
    if let known = plans[chunk.scorer], known.plan.revision >= chunk.scorerRevision {
      return known
    }
    if plans.count >= Self.planCapacity { plans.removeAll() }
    let plan = try ScorerPlan.load(chunk.scorer, on: connection)
    return try database { () throws(PostgresError) in
      Prepared(
        plan: plan, profile: try ScorerProfile.load(chunk.scorer, for: plan, on: connection),
        judge: ExpectationJudge(try Expectation.load(chunk.scorer, on: connection)))
    }
  }

  // MARK: Reading

  /// Reads the features that the model uses; all of them where it is not known yet, or not the same
  /// for all rows.
  private func read(_ chunk: Chunk, _ prepared: inout Prepared) throws(WorkError) -> ChunkRows {
    let plan = prepared.plan
    var reads = Array(repeating: true, count: plan.features.count)
    if !plan.isRouted, let binding = prepared.binding, binding.model.id == chunk.model {
      if plan.canary == nil {
        reads = binding.reads
      } else if let others = prepared.canary.reads {
        reads = reads.indices.map { binding.reads[$0] || others.contains(true) && others[$0] }
      }
      reads = reads.enumerated().map { $1 || prepared.judge.reads($0) }
    }
    let rows: Fetched
    switch chunk.kind {
    case .keys:
      rows = try fetch(
        Query(text: plan.sql(plan.readKeysSQL, reading: reads), values: [chunk.keys]), of: plan)
    case .range:
      let (sql, bounds) = (
        plan.sql(plan.readRangeSQL, reading: reads), [chunk.lowerKey, chunk.upperKey]
      )
      rows =
        plan.readsQuery
        ? try fetch(Query(text: sql, values: bounds), of: plan)
        : try copy(sql, bounds, rows: chunk.keyCount, of: plan, packs: &prepared.packs)
    case .truncate, .map, .tid, .file, .step: return .none(plan)
    }
    let keyCount = plan.keyTypes.count
    let readCount = reads.count { $0 }
    let width = keyCount + readCount + (plan.isRouted ? 1 : 0) + (plan.canary != nil ? 1 : 0)
    guard rows.types.count == width else {
      throw .scoring(
        ScoringError(
          .scorer, "the source gives \(rows.types.count) columns, the scorer reads \(width)"))
    }
    var features: [Column] = []
    features.reserveCapacity(plan.features.count)
    var place = 0
    for (feature, isRead) in zip(plan.features, reads) {
      guard isRead else {
        features.append(Column(blank: feature.type, count: rows.count))
        continue
      }
      guard let column = Column(rows.values[place]) else {
        throw .scoring(
          ScoringError(
            .scorer,
            "column \"\(feature.column)\" is \(rows.types[keyCount + place]), "
              + "feature \"\(feature.input)\" wants \(feature.type)"))
      }
      features.append(column)
      place += 1
    }
    if plan.readsQuery { try refuseTwins(rows.keys, rows: rows.count, plan) }
    return ChunkRows(
      count: rows.count, keys: rows.keys, features: features,
      models: plan.isRouted ? try names(rows.values[readCount]) : nil,
      canaryMembers: plan.canary != nil ? try members(rows.values[rows.values.count - 1]) : nil,
      reads: reads)
  }

  private func members(_ vector: ColumnVector) throws(WorkError) -> [Bool] {
    guard case .bool(let members) = vector.values else {
      throw .scoring(ScoringError(.scorer, "the share of the canary gives no boolean"))
    }
    return members
  }

  /// A chunk's rows as they came: the key, then all else.
  private struct Fetched {
    var count: Int
    var types: [OID]
    var keys: [RawColumn]
    var values: [ColumnVector]
  }

  private func fetch(_ query: Query, of plan: ScorerPlan) throws(WorkError) -> Fetched {
    let rows = try run(query, of: plan)
    let types = rows.columns.map(\.typeOID)
    let keyCount = min(plan.keyTypes.count, types.count)
    return try database { () throws(PostgresError) in
      Fetched(
        count: rows.count, types: types, keys: (0..<keyCount).map { rows.raw($0) },
        values: try rows.vectors(keyCount..<types.count))
    }
  }

  /// Reads many rows by COPY, which costs the worker a half of what a query does. It tells no types, so
  /// the query says them first, without rows; until the transaction is over the source stays as it is.
  private func copy(
    _ sql: String, _ bounds: [String?], rows: Int32?, of plan: ScorerPlan, packs: inout Bool
  ) throws(WorkError) -> Fetched {
    let mayPack = packs
    let fetched = try database { () throws(PostgresError) in
      let shape = try connection.pipeline([
        "begin", Query(text: "select * from (\(sql)) as shape limit 0", values: bounds),
      ])[1]
      let types = shape.columns.map(\.typeOID)
      let keyCount = min(plan.keyTypes.count, types.count)
      let names = types.indices.map { "c\($0)" }
      func copied(packs: Bool) throws(PostgresError) -> (rows: CopiedRows, values: [ColumnVector]?)
      {
        let packing = FloatPacking(Array(types[keyCount...]), isOn: packs)
        let columns = names[..<keyCount] + packing.expressions(Array(names[keyCount...]))
        // Rows stay in the query's order.
        let text =
          "copy (select \(columns.joined(separator: ", ")) from (\(sql)) as r "
          + "(\(names.joined(separator: ", ")))) to stdout (format binary)"
        let rows = try connection.copyOut(
          Query(inlining: bounds, into: packs ? text : "copy (\(sql)) to stdout (format binary)"),
          types: types[..<keyCount] + packing.columnTypes, raw: 0..<keyCount, rows: Int(rows ?? 0))
        return (rows, packing.features(rows, from: keyCount))
      }
      var copy = try copied(packs: mayPack)
      if copy.values == nil { copy = try copied(packs: false) }
      try connection.runScript("commit")
      guard let values = copy.values else { preconditionFailure("values were left unread") }
      return Fetched(
        count: copy.rows.count, types: types, keys: (0..<keyCount).map { copy.rows.raw($0) },
        values: values)
    }
    if packs, fetched.values.contains(where: { $0.nulls != nil }) { packs = false }
    return fetched
  }

  private func run(_ query: Query, of plan: ScorerPlan) throws(WorkError) -> Rows {
    guard plan.readsQuery else {
      return try database { () throws(PostgresError) in try connection.run(query) }
    }
    do throws(PostgresError) {
      // Its tables need not have indexes, and how it is best read depends on how many rows they have now.
      try connection.runScript(
        "begin; set local enable_seqscan = on; set local plan_cache_mode = force_custom_plan")
      let rows = try connection.run(query)
      // What the query set is not for the write. Not prepared, because it may have deallocated what was.
      try connection.runScript("commit; reset all; \(settings)")
      return rows
    } catch {
      throw .ofQuery(error, "the feature query failed")
    }
  }

  /// A query, unlike a table, may give two rows for one key; they come one after the other.
  private func refuseTwins(_ keys: [RawColumn], rows: Int, _ plan: ScorerPlan) throws(WorkError) {
    guard rows > 1 else { return }
    for row in 1..<rows where keys.allSatisfy({ $0[row] == $0[row - 1] }) {
      throw .scoring(
        ScoringError(
          .scorer, "the feature query of scorer \"\(plan.name)\" gives several rows for one key",
          hint: "Name the columns that tell them apart as result_key, or group them."))
    }
  }

  private func names(_ vector: ColumnVector) throws(WorkError) -> [String?] {
    guard case .string(let names) = vector.values else {
      throw .scoring(ScoringError(.scorer, "the route gives no text"))
    }
    return names.indices.map { vector.isNull($0) ? nil : names[$0] }
  }

  // MARK: Predicting

  private func predict(
    _ rows: ChunkRows, _ chunk: Chunk, _ prepared: inout Prepared, _ count: inout CanaryCount?
  ) throws(WorkError) -> ChunkResult {
    guard rows.count > 0 else {
      let outputs = prepared.plan.outputs.map { Column(blank: $0.type.element, count: 0) }
      return ChunkResult(outputs: outputs, attribution: .none, failures: [])
    }
    if let names = rows.models {
      return try prepared.router.predict(
        rows, names: names, chunk: chunk, plan: prepared.plan, models: models,
        connection: connection, workspace: workspace)
    }
    guard let id = chunk.model else {
      throw .scoring(
        ScoringError(
          .model, "the model of scorer \"\(prepared.plan.name)\" has no such alias",
          hint: "Set the alias with rowcast.set_alias."))
    }
    if prepared.binding?.model.id != id {
      let model = try models.model(
        id, reasons: prepared.plan.reasons, on: connection)
      do throws(ScoringError) {
        prepared.binding = try ModelBinding(model, to: prepared.plan)
      } catch {
        throw .scoring(error)
      }
    }
    let binding = prepared.binding!
    if let canary = prepared.plan.canary, let members = rows.canaryMembers {
      let scored = try prepared.canary.predict(
        rows, members: members, champion: binding, canary: canary, plan: prepared.plan,
        models: models, connection: connection, workspace: workspace)
      count = scored.count
      return scored.result
    }
    let cpuStart = ThreadClock.seconds
    let predictions = try binding.predict(
      rows.features, rowCount: rows.count, workspace: workspace)
    let share = ChunkResult.Share(
      model: binding.model.name, version: id.version, rows: rows.count,
      predictSeconds: ThreadClock.seconds - cpuStart)
    return ChunkResult(
      outputs: predictions.columns,
      attribution: .all(name: binding.model.name, version: id.version),
      failures: predictions.failures.map {
        .init(
          row: $0.row, code: $0.code.rawValue, reason: $0.reason, model: binding.model.name,
          version: id.version)
      }, shares: [share])
  }
}

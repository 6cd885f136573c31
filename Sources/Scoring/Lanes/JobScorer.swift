internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Works on chunks of jobs that have a source and a destination of their own; keeps what a lane
/// learnt about them from chunk to chunk.
struct JobScorer {
  private let connection: Connection
  private let models: ModelCache
  private let workspace = Workspace()
  private let clock = ContinuousClock()
  private let observations: Observations
  private let steps: JobSteps
  private let files: JobFiles?
  private var jobs: [Int64: Prepared] = [:]

  /// Jobs remembered at most.
  private static let capacity = 100

  private struct Prepared {
    var plan: JobPlan
    var binding: ModelBinding?
    /// Of a file's records, by its path; and how exported ones are written.
    var shapes: [String: JobFiles.Shape] = [:]
    /// Rows have failed: where rows are is read with them, and not afterwards.
    var readsPlaces = false
    /// No feature was NULL until now.
    var packs = true
  }

  init(
    connection: Connection, models: ModelCache, observations: Observations, steps: JobSteps,
    files: JobFiles?
  ) {
    self.connection = connection
    self.models = models
    self.observations = observations
    self.steps = steps
    self.files = files
  }

  /// - Throws: Where the chunk as a whole cannot be done. Rows that cannot be scored do not throw.
  mutating func work(on chunk: Chunk, of job: Int64) throws(WorkError) -> Event.Completion {
    if chunk.kind == .step {
      let start = clock.now
      try steps.run(chunk)
      return Event.Completion(
        chunk: chunk.id, scorer: "job \(job)", rows: 0, features: 0, failures: 0, isCopied: false,
        read: .zero, predict: .zero, write: start.duration(to: clock.now), latency: nil)
    }
    let (plan, binding) = try prepare(chunk, job)
    let start = clock.now
    let cpuStart = ThreadClock.seconds
    var rows: JobRows
    if chunk.kind == .file {
      rows = try readFile(chunk, job, plan, binding)
    } else if chunk.isRange, jobs[job]?.readsPlaces == false {
      rows = try copy(chunk, job, plan, binding)
    } else {
      rows = try read(chunk, plan, binding)
    }
    let read = clock.now
    let cpuRead = ThreadClock.seconds
    var result = try predict(rows, binding)
    if !result.failures.isEmpty, case .unknown = rows.places {
      jobs[job]?.readsPlaces = true
      rows = try self.read(chunk, plan, binding)
      result = try predict(rows, binding)
    }
    let cpuPredicted = ThreadClock.seconds
    let predicted = clock.now
    let writer = JobWriter(
      connection: connection, chunk: chunk, plan: plan, model: binding.model)
    let isCopied = try writer.write(result, of: rows)
    let stages = ScorerTotal.Stages(
      read: start.duration(to: read), predict: read.duration(to: predicted),
      write: predicted.duration(to: clock.now))
    observations.addUsage(
      .init(
        model: binding.model.name, version: binding.model.id.version, rows: rows.count,
        predictSeconds: cpuPredicted - cpuRead),
      failed: result.failures.count, stages, job: job, cpuSeconds: ThreadClock.seconds - cpuStart)
    return Event.Completion(
      chunk: chunk.id, scorer: "job \(job)", rows: rows.count, features: rows.readCount,
      failures: result.failures.count, isCopied: isCopied, read: stages.read,
      predict: stages.predict, write: stages.write, latency: nil)
  }

  mutating func forget(_ job: Int64) { jobs[job] = nil }

  /// A job's version never changes, so the model is bound once.
  private mutating func prepare(_ chunk: Chunk, _ job: Int64) throws(WorkError) -> (
    JobPlan, ModelBinding
  ) {
    var prepared: Prepared
    if let known = jobs[job] {
      prepared = known
    } else {
      if jobs.count >= Self.capacity { jobs.removeAll() }
      prepared = Prepared(plan: try JobPlan.load(job, on: connection))
    }
    guard let id = chunk.model else {
      throw .scoring(ScoringError(.model, "the model of job \(job) is gone"))
    }
    let binding: ModelBinding
    if let known = prepared.binding {
      binding = known
    } else {
      let model = try models.model(id, on: connection)
      do throws(ScoringError) {
        binding = try ModelBinding(model, to: prepared.plan.base)
      } catch {
        throw .scoring(error)
      }
      prepared.binding = binding
    }
    jobs[job] = prepared
    return (prepared.plan, binding)
  }

  // MARK: Reading

  private func read(_ chunk: Chunk, _ plan: JobPlan, _ binding: ModelBinding) throws(WorkError)
    -> JobRows
  {
    let (first, readCount) = (plan.kept.count, binding.reads.count { $0 })
    let rows = try database { () throws(PostgresError) in
      try connection.run(plan.readQuery(chunk, reading: binding.reads))
    }
    let vectors = try database { () throws(PostgresError) in
      try rows.vectors(first..<first + readCount)
    }
    return try jobRows(
      plan, binding, count: rows.count, kept: (0..<first).map { rows.raw($0) }, vectors,
      types: rows.columns.map(\.typeOID), places: .tids(rows.raw(first + readCount)))
  }

  /// Reads a range of rows by COPY, which costs the worker a half of what a query does, and knows
  /// neither types nor places.
  private mutating func copy(
    _ chunk: Chunk, _ job: Int64, _ plan: JobPlan, _ binding: ModelBinding
  ) throws(WorkError) -> JobRows {
    let (first, readCount) = (plan.kept.count, binding.reads.count { $0 })
    let packs = jobs[job]?.packs ?? false
    let (types, rows, features) = try database { () throws(PostgresError) in
      let shape = try connection.pipeline([
        "begin", plan.shapeQuery(chunk, reading: binding.reads),
      ])[1]
      let types = Array(shape.columns.map(\.typeOID)[..<(first + readCount)])
      func copied(_ packing: FloatPacking) throws(PostgresError) -> CopiedRows {
        try connection.copyOut(
          plan.copyQuery(chunk, reading: binding.reads, packing: packing),
          types: types[..<first] + packing.columnTypes, raw: 0..<first,
          rows: Int(chunk.keyCount ?? 0))
      }
      var packing = FloatPacking(Array(types[first...]), isOn: packs)
      var rows = try copied(packing)
      var features = packing.features(rows, from: first)
      if features == nil {
        packing = FloatPacking(Array(types[first...]), isOn: false)
        rows = try copied(packing)
        features = packing.features(rows, from: first)
      }
      try connection.runScript("commit")
      return (types, rows, features)
    }
    guard let features else { preconditionFailure("features were left unread") }
    if packs, features.contains(where: { $0.nulls != nil }) { jobs[job]?.packs = false }
    return try jobRows(
      plan, binding, count: rows.count, kept: (0..<first).map { rows.raw($0) }, features,
      types: types, places: .unknown)
  }

  private func jobRows(
    _ plan: JobPlan, _ binding: ModelBinding, count: Int, kept: [RawColumn],
    _ vectors: [ColumnVector], types: [OID], places: JobRows.Places
  ) throws(WorkError) -> JobRows {
    var features: [Column] = []
    features.reserveCapacity(plan.base.features.count)
    var place = 0
    for (feature, isRead) in zip(plan.base.features, binding.reads) {
      guard isRead else {
        features.append(Column(blank: feature.type, count: count))
        continue
      }
      guard let column = Column(vectors[place]) else {
        throw .scoring(
          ScoringError(
            .scorer,
            "column \"\(feature.column)\" is \(types[kept.count + place]), "
              + "feature \"\(feature.input)\" wants \(feature.type)"))
      }
      features.append(column)
      place += 1
    }
    var export: JobRows.Export?
    if plan.destination == .file {
      do throws(ScoringError) {
        export = .init(
          writer: plan.answerWriter(try plan.tableRecordPlan()),
          batch: plan.records(kept, count: count))
      } catch {
        throw .scoring(error)
      }
    }
    return JobRows(
      count: count, kept: .columns(kept), features: features, places: places,
      readCount: vectors.count, export: export)
  }

  private mutating func readFile(
    _ chunk: Chunk, _ job: Int64, _ plan: JobPlan, _ binding: ModelBinding
  ) throws(WorkError) -> JobRows {
    guard let files, let path = chunk.keys else {
      throw .scoring(ScoringError(.file, "this worker was given no directory of files"))
    }
    do throws(ScoringError) {
      let shape: JobFiles.Shape
      if let known = jobs[job]?.shapes[path] {
        shape = known
      } else {
        shape = try files.shape(of: path)
      }
      jobs[job]?.shapes[path] = shape
      let recordPlan = try plan.recordPlan(shape, reading: binding.reads)
      let writer = plan.destination == .file ? plan.answerWriter(recordPlan) : nil
      let reserved = recordPlan.keep == .wholeRecords ? writer?.reserved ?? [] : []
      let batch = try files.records(of: chunk, recordPlan, shape.format, reserved: reserved)
      return JobRows(
        count: batch.rowCount,
        kept: .texts(writer == nil ? batch.keptTexts(plan.kept.count) : []),
        features: batch.columns, places: .lines(batch.lines),
        readCount: binding.reads.count { $0 }, unreadable: batch.unreadable,
        export: writer.map { .init(writer: $0, batch: batch) })
    } catch {
      throw .scoring(error)
    }
  }

  // MARK: Predicting

  private func predict(_ rows: JobRows, _ binding: ModelBinding) throws(WorkError) -> ChunkResult {
    let (name, version) = (binding.model.name, binding.model.id.version)
    guard rows.count > 0 else {
      return ChunkResult(outputs: [], attribution: .none, failures: [])
    }
    let predictions = try binding.predict(
      rows.features, rowCount: rows.count, workspace: workspace)
    var reasons = rows.unreadable.mapValues { (code: "wrong_type", reason: $0) }
    for failure in predictions.failures where reasons[failure.row] == nil {
      reasons[failure.row] = (failure.code.rawValue, failure.reason)
    }
    return ChunkResult(
      outputs: predictions.columns, attribution: .all(name: name, version: version),
      failures: reasons.sorted { $0.key < $1.key }.map {
        .init(
          row: $0.key, code: $0.value.code, reason: $0.value.reason, model: name, version: version)
      })
  }
}

extension RecordBatch {
  /// What is kept of the records, a column of texts for each kept column of the file.
  func keptTexts(_ count: Int) -> [Column] {
    (0..<count).map { index in
      var column = Column(
        .string(
          (0..<rowCount).map { kept[$0 * count + index].text(in: bytes) }))
      for row in 0..<rowCount where kept[row * count + index].form == .missing {
        column.markNull(row)
      }
      return column
    }
  }
}

/// A chunk of a job as it was read.
struct JobRows {
  enum Kept {
    /// Unread, as the source's types have them.
    case columns([RawColumn])
    /// Of a file.
    case texts([Column])
  }

  /// How a chunk's rows become lines of a file.
  struct Export {
    var writer: AnswerWriter
    var batch: RecordBatch
  }

  enum Places {
    /// Images of PostgreSQL's type `tid`.
    case tids(RawColumn)
    /// Lines of a file.
    case lines([Int])
    /// Not read: no row has failed.
    case unknown
  }

  var count: Int
  var kept: Kept
  var features: [Column]
  var places: Places
  var readCount: Int
  /// Rows that a file has a value in that is not of the feature's type, and why.
  var unreadable: [Int: String] = [:]
  /// nil where the destination is a table.
  var export: Export?

  /// Where a row was read, as `job_failure.place` has it behind the table's or the file's name.
  func place(of row: Int) -> String {
    switch places {
    case .lines(let lines): return "\(lines[row])"
    case .unknown: preconditionFailure("the places of rows were not read")
    case .tids(let column):
      let image = column.bytes[column.offsets[row]..<column.offsets[row + 1]]
      let number = { (range: Range<Int>) -> Int in
        range.reduce(0) { $0 << 8 | Int(image[image.startIndex + $1]) }
      }
      return "(\(number(0..<4)),\(number(4..<6)))"
    }
  }
}

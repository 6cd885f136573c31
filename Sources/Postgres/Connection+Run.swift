internal import CLibPQ

extension Connection {
  /// Runs one statement and returns its rows, all of them in memory.
  ///
  /// Takes one round trip. A statement that comes again is prepared once and then known by its
  /// text; when DDL made what was prepared unusable and no transaction is open, it is prepared
  /// anew and run, unseen by the caller.
  @discardableResult
  public func run(_ query: Query) throws(PostgresError) -> Rows {
    try exchange([query])[0]
  }

  /// Runs the statements in one round trip, all or nothing.
  ///
  /// Outside a transaction they form one of their own; inside, an error aborts the open one. The
  /// error's statement says which one failed.
  public func pipeline(_ queries: [Query]) throws(PostgresError) -> [Rows] {
    queries.isEmpty ? [] : try exchange(queries)
  }

  /// Runs several statements, separated by semicolons, that take no values and return no rows
  /// that matter. They form one transaction unless they hold `begin` and `commit`.
  public func runScript(_ sql: String) throws(PostgresError) {
    let handle = try handle()
    guard PQsendQuery(handle, sql) == 1 else { throw refusal() }
    try flush()
    try finishScript(sql)
  }

  func finishScript(_ sql: String) throws(PostgresError) {
    let handle = try handle()
    var failure: PostgresError?
    while let result = try nextResult() {
      switch result.status {
      case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
        let error = error(of: result, statement: sql)
        if !isUsable { throw error }
        if failure == nil { failure = error }
      case PGRES_COPY_IN:
        _ = PQputCopyEnd(handle, "a script cannot hold the rows of a COPY")
        try flush()
      case PGRES_COPY_OUT:
        var buffer: UnsafeMutablePointer<CChar>?
        while PQgetCopyData(handle, &buffer, 0) > 0 { PQfreemem(buffer) }
      default: break
      }
    }
    if let failure { throw failure }
  }
}

// MARK: - The exchange of messages

extension Connection {
  /// A statement on its way: what is sent, and what came back.
  private struct Exchange {
    var query: Query
    var key: StatementCache.Key
    var plan: StatementCache.Plan
    var result: QueryResult?
  }

  private struct Failure {
    var error: PostgresError
    /// What was prepared cannot be used any more.
    var isStale: Bool
  }

  /// The server no longer has the statement, or its columns changed (0A000, which means other
  /// things, too; those fail again).
  private static func isStale(_ error: PostgresError, _ plan: StatementCache.Plan) -> Bool {
    guard case .execute = plan else { return false }
    return error.sqlState == "26000" || error.sqlState == "0A000"
  }

  private func exchange(_ queries: [Query]) throws(PostgresError) -> [Rows] {
    let handle = try handle()
    try releaseDropped()
    let isIdle = PQtransactionStatus(handle) == PQTRANS_IDLE
    var exchanges = try prepare(queries)
    if let failure = try attempt(&exchanges) {
      guard failure.isStale else { throw failure.error }
      // Nothing of the pipeline remains, unless a statement in it committed.
      let committed = exchanges.contains {
        ["COMMIT", "ROLLBACK", "PREPARE TRANSACTION"].contains($0.result?.commandTag)
      }
      guard isIdle, !committed, isUsable else { throw failure.error }
      try releaseDropped()
      exchanges = try prepare(queries)
      if let failure = try attempt(&exchanges) { throw failure.error }
    }
    return exchanges.map { Rows($0.result!) }
  }

  private func prepare(_ queries: [Query]) throws(PostgresError) -> [Exchange] {
    var exchanges: [Exchange] = []
    exchanges.reserveCapacity(queries.count)
    for query in queries {
      let text = try query.text(quotedBy: handle())
      let key = StatementCache.Key(text: text, types: query.values.map(\.typeOID))
      exchanges.append(Exchange(query: query, key: key, plan: statements.plan(for: key)))
    }
    return exchanges
  }

  /// Sends everything, reads everything; returns the first error of a statement.
  private func attempt(_ exchanges: inout [Exchange]) throws(PostgresError) -> Failure? {
    let handle = try handle()
    guard PQenterPipelineMode(handle) == 1 else { throw refusal() }
    // Which exchange each sequence of results belongs to.
    var steps: [(exchange: Int, prepares: Bool)] = []
    var refused: PostgresError?
    for index in exchanges.indices where refused == nil {
      if case .prepare(let name) = exchanges[index].plan {
        let key = exchanges[index].key
        let types = key.types.map(\.rawValue)
        if PQsendPrepare(handle, name, key.text, Int32(types.count), types) == 1 {
          steps.append((index, true))
        } else {
          refused = refusal()
        }
      }
      if refused == nil, send(exchanges[index], on: handle) {
        steps.append((index, false))
      } else if refused == nil {
        refused = refusal()
      }
    }
    guard isUsable, PQpipelineSync(handle) == 1 else { throw refused ?? refusal() }
    try flush()
    let failure = try receive(steps, into: &exchanges)
    guard PQexitPipelineMode(handle) == 1 else { throw lose() }
    return refused.map { Failure(error: $0, isStale: false) } ?? failure
  }

  private func receive(_ steps: [(exchange: Int, prepares: Bool)], into exchanges: inout [Exchange])
    throws(PostgresError) -> Failure?
  {
    var step = 0
    var failure: Failure?
    while true {
      guard let result = try nextResult() else {
        step += 1
        guard step <= steps.count else { throw lose(.malformed("no end of a pipeline")) }
        continue
      }
      if result.status == PGRES_PIPELINE_SYNC { return failure }
      guard step < steps.count else {
        // All statements have answered, but not the end of the pipeline: the server ends the
        // session instead, as it does when it is stopped just then.
        throw lose(result.error(statement: nil))
      }
      switch result.status {
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
        if !steps[step].prepares { exchanges[steps[step].exchange].result = result }
      case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
        // libpq has no way on from here in a pipeline.
        throw lose(
          PostgresError(sqlState: "0A000", message: "COPY was run as a statement with rows"))
      default:
        let exchange = exchanges[steps[step].exchange]
        if failure == nil, result.status != PGRES_PIPELINE_ABORTED {
          let error = error(of: result, statement: exchange.key.text)
          if !isUsable { throw error }
          let isStale = Self.isStale(error, exchange.plan)
          failure = Failure(error: error, isStale: isStale)
          if isStale { statements.forget(exchange.key, mayExist: true) }
        }
        // What was not prepared must not be executed by that name.
        if steps[step].prepares { statements.forget(exchange.key, mayExist: false) }
      }
    }
  }

  private func send(_ exchange: Exchange, on handle: OpaquePointer) -> Bool {
    let parameters = Parameters(exchange.query.values)
    let types = exchange.key.types.map(\.rawValue)
    return parameters.withPointers { count, values, lengths, formats in
      switch exchange.plan {
      case .once:
        PQsendQueryParams(
          handle, exchange.key.text, count, types, values, lengths, formats, 1) == 1
      case .prepare(let name), .execute(let name):
        PQsendQueryPrepared(handle, name, count, values, lengths, formats, 1) == 1
      }
    }
  }

  /// Frees, on the server, what the cache no longer refers to.
  private func releaseDropped() throws(PostgresError) {
    guard PQtransactionStatus(try handle()) == PQTRANS_IDLE else { return }
    for name in statements.takeDropped() {
      do throws(PostgresError) {
        try runScript("deallocate \(name)")
      } catch  where error.sqlState == "26000" {
        // The session forgot it by itself, as after `discard all`.
      }
    }
  }
}

/// The values of a statement as libpq takes them: one block of images and pointers into it.
struct Parameters {
  private var bytes: [UInt8] = []
  private var offsets: [Int] = []
  private var lengths: [Int32] = []
  private var formats: [Int32] = []

  init(_ values: [any PostgresEncodable]) {
    for value in values {
      let start = bytes.count
      let format = value.encode(into: &bytes)
      let length = Int32(clamping: bytes.count - start)
      lengths.append(length)
      if case .null = format { offsets.append(-1) } else { offsets.append(start) }
      if case .text = format {
        formats.append(0)
        bytes.append(0)  // libpq reads text up to the zero.
      } else {
        formats.append(1)
      }
    }
    if bytes.isEmpty { bytes.append(0) }  // An empty value is no null pointer.
  }

  func withPointers<R>(
    _ body: (
      Int32, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>, UnsafePointer<Int32>
    ) -> R
  ) -> R {
    bytes.withUnsafeBytes { buffer in
      let base = buffer.assumingMemoryBound(to: CChar.self).baseAddress!
      let pointers = offsets.map { $0 < 0 ? nil : base + $0 }
      return body(Int32(offsets.count), pointers, lengths, formats)
    }
  }
}

internal import CLibPQ

extension Connection {
  /// Runs `copy … from stdin (format binary)` and sends the rows that the body writes.
  ///
  /// The body may not use the connection otherwise. When it throws, the COPY is aborted: outside
  /// a transaction nothing is copied, inside the transaction is aborted. What the server finds
  /// wrong with the rows is thrown when the body is done.
  ///
  /// - Returns: The number of rows copied.
  @discardableResult
  public func copyIn(
    _ query: Query, _ body: (inout CopyWriter) throws(PostgresError) -> Void
  ) throws(PostgresError) -> Int {
    let text = try startCopy(query, expecting: PGRES_COPY_IN)
    do throws(PostgresError) {
      var writer = CopyWriter(to: self, columnCount: text.columnCount)
      try body(&writer)
      try writer.finish()
    } catch {
      if isUsable { try abortCopy() }
      throw error
    }
    try endCopy(nil)
    return try finishCopy(text.statement)
  }

  /// Sends the statement; leaves the session in the wanted state of COPY, or throws.
  func startCopy(_ query: Query, expecting status: ExecStatusType) throws(PostgresError)
    -> (statement: String, columnCount: Int)
  {
    let handle = try handle()
    let text = try query.text(quotedBy: handle)
    guard query.values.isEmpty else {
      throw PostgresError(
        sqlState: "0A000", message: "COPY takes no parameters",
        hint: "Write its values into a table or a function that its query reads.")
    }
    guard PQsendQuery(handle, text) == 1 else { throw refusal() }
    try flush()
    guard let result = try nextResult() else { throw lose(.malformed("nothing for a COPY")) }
    guard result.status == status else {
      try rejectCopy(result, text)
    }
    guard PQbinaryTuples(result.handle) == 1 else {
      let error = PostgresError(
        sqlState: "0A000", message: "the COPY is not binary",
        hint: "Add (format binary) to the statement.")
      if status == PGRES_COPY_IN { try abortCopy() } else { try drainCopyOut() }
      throw error
    }
    return (text, result.columnCount)
  }

  private func rejectCopy(_ result: QueryResult, _ text: String) throws(PostgresError) -> Never {
    var failure = PostgresError(
      sqlState: "42601", message: "the statement is not the COPY that was expected")
    failure.statement = text
    switch result.status {
    case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: failure = error(of: result, statement: text)
    case PGRES_COPY_IN: try abortCopy()
    case PGRES_COPY_OUT: try drainCopyOut()
    default: break
    }
    if isUsable { while try nextResult() != nil {} }
    throw failure
  }

  func putCopyData(_ data: UnsafeRawBufferPointer) throws(PostgresError) {
    let handle = try handle()
    // What went before must be gone: libpq would keep all of it in memory.
    try flush()
    var left = data
    while left.count > 0 {
      let piece = min(left.count, 1 << 29)  // libpq counts in Int32.
      switch PQputCopyData(
        handle, left.baseAddress!.assumingMemoryBound(to: CChar.self), Int32(piece))
      {
      case 1: left = UnsafeRawBufferPointer(rebasing: left[piece...])
      case 0:
        _ = try wait(for: POLLIN | POLLOUT)
        try flush()
      default: throw try copyFailure()
      }
    }
  }

  /// libpq no longer copies: the server has sent why.
  private func copyFailure() throws(PostgresError) -> PostgresError {
    var failure: PostgresError?
    while isUsable, let result = try nextResult() {
      if result.status == PGRES_FATAL_ERROR, failure == nil {
        failure = error(of: result, statement: nil)
      }
    }
    return failure ?? refusal()
  }

  private func endCopy(_ reason: String?) throws(PostgresError) {
    let handle = try handle()
    while true {
      switch PQputCopyEnd(handle, reason) {
      case 1: return try flush()
      case 0: _ = try wait(for: POLLOUT)
      default: throw try copyFailure()
      }
    }
  }

  private func abortCopy() throws(PostgresError) {
    // Not in COPY any more when the server refused it meanwhile.
    try endCopy("the writer gave up")
    while try nextResult() != nil {}
  }

  /// Reads the outcome of a COPY whose rows are all sent or read.
  func finishCopy(_ statement: String) throws(PostgresError) -> Int {
    var copied = 0
    var failure: PostgresError?
    while let result = try nextResult() {
      if result.status == PGRES_COMMAND_OK {
        copied = result.affected
      } else if failure == nil {
        failure = error(of: result, statement: statement)
        if !isUsable { break }
      }
    }
    if let failure { throw failure }
    return copied
  }
}

internal import CLibPQ

extension Connection {
  /// Runs `copy … to stdout (format binary)` and hands the rows over in batches of typed columns.
  ///
  /// A COPY tells no types, so they are given. The body may not use the connection; when it
  /// throws, the COPY is cancelled, which aborts an open transaction.
  ///
  /// - Returns: The number of rows.
  @discardableResult
  public func copyOut(
    _ query: Query, types: [OID], rowsAtOnce: Int = 4096,
    _ body: ([ColumnVector]) throws(PostgresError) -> Void
  ) throws(PostgresError) -> Int {
    try copyOut(query, rawTypes: types, rowsAtOnce: rowsAtOnce) { columns throws(PostgresError) in
      var vectors: [ColumnVector] = []
      for column in columns { vectors.append(try column.decoded()) }
      try body(vectors)
    }
  }

  /// As `copyOut(_:types:rowsAtOnce:_:)`, with the images unread.
  @discardableResult
  public func copyOut(
    _ query: Query, rawTypes types: [OID], rowsAtOnce: Int = 4096,
    _ body: ([RawColumn]) throws(PostgresError) -> Void
  ) throws(PostgresError) -> Int {
    precondition(rowsAtOnce > 0, "a batch has at least one row")
    var block = CopyBlock(types: types, typed: types.map { _ in false }, rows: rowsAtOnce)
    return try copyOut(query, into: &block) { block throws(PostgresError) in
      if block.rowCount >= rowsAtOnce { try body(block.takeRaw()) }
    } end: { block throws(PostgresError) in
      if block.rowCount > 0 { try body(block.takeRaw()) }
    }
  }

  /// Runs `copy … to stdout (format binary)` and returns its rows as columns, all of them in memory.
  ///
  /// Costs a half of what `run` and `Rows.vectors` do: libpq keeps no rows, and each value is written
  /// once, to where it stays.
  ///
  /// - Parameters:
  ///   - types: Of the columns; a COPY tells none.
  ///   - raw: The columns whose images are left unread.
  ///   - rows: How many there are about.
  public func copyOut(_ query: Query, types: [OID], raw: Range<Int>, rows: Int)
    throws(PostgresError) -> CopiedRows
  {
    var block = CopyBlock(types: types, typed: types.indices.map { !raw.contains($0) }, rows: rows)
    try copyOut(query, into: &block)
    return try block.take()
  }

  @discardableResult
  private func copyOut(
    _ query: Query, into block: inout CopyBlock,
    row: (inout CopyBlock) throws(PostgresError) -> Void = { _ in },
    end: (inout CopyBlock) throws(PostgresError) -> Void = { _ in }
  ) throws(PostgresError) -> Int {
    let copy = try startCopy(query, expecting: PGRES_COPY_OUT)
    do throws(PostgresError) {
      guard copy.columnCount == block.columnCount else {
        throw PostgresError(
          sqlState: "22P04",
          message:
            "\(block.columnCount) types were given for a COPY of \(copy.columnCount) columns")
      }
      while try nextCopyData({ data throws(PostgresError) in try block.read(data) }) {
        try row(&block)
      }
      try end(&block)
    } catch {
      if isUsable { try drainCopyOut() }
      throw error
    }
    return try finishCopy(copy.statement)
  }

  /// Reads one message; false at the end.
  private func nextCopyData(
    _ body: (UnsafeRawBufferPointer) throws(PostgresError) -> Void
  ) throws(PostgresError) -> Bool {
    var message: UnsafeMutablePointer<CChar>?
    let count = PQgetCopyData(try handle(), &message, 0)
    // -2, an error, is told in full by the result that follows.
    guard count > 0 else { return false }
    defer { PQfreemem(message) }
    try body(UnsafeRawBufferPointer(start: message, count: Int(count)))
    return true
  }

  /// Ends a COPY whose rows nobody wants.
  func drainCopyOut() throws(PostgresError) {
    try? canceller.cancel()  // Where it cannot be asked, all rows are read.
    while try nextCopyData({ _ throws(PostgresError) in }) {}
    while isUsable, let result = try nextResult() {
      if result.isFatal { throw error(of: result, statement: nil) }
    }
  }
}

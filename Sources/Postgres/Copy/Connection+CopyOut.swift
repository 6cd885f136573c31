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
    let copy = try startCopy(query, expecting: PGRES_COPY_OUT)
    do throws(PostgresError) {
      guard copy.columnCount == types.count else {
        throw PostgresError(
          sqlState: "22P04",
          message: "\(types.count) types were given for a COPY of \(copy.columnCount) columns")
      }
      var reader = CopyReader(types: types)
      while try nextCopyData({ data throws(PostgresError) in try reader.read(data) }) {
        if reader.rowCount >= rowsAtOnce { try body(reader.take()) }
      }
      if reader.rowCount > 0 { try body(reader.take()) }
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

/// Takes the rows of a binary COPY apart.
private struct CopyReader {
  private let types: [OID]
  private var columns: [RawColumn]
  private var pending: [UInt8] = []
  private var hasHeader = false
  private var isOver = false

  init(types: [OID]) {
    self.types = types
    columns = types.map { RawColumn(typeOID: $0) }
  }

  private(set) var rowCount = 0

  mutating func take() -> [RawColumn] {
    defer {
      columns = types.map { RawColumn(typeOID: $0) }
      rowCount = 0
    }
    return columns
  }

  /// A message may hold any part of the stream, although servers send whole rows.
  mutating func read(_ data: UnsafeRawBufferPointer) throws(PostgresError) {
    if pending.isEmpty {
      let used = try parse(data)
      pending.append(contentsOf: data[used...])
    } else {
      pending.append(contentsOf: data)
      let bytes = pending
      let used = try bytes.withTypedError { buffer throws(PostgresError) in
        try parse(UnsafeRawBufferPointer(buffer))
      }
      pending.removeFirst(used)
    }
  }

  /// Returns how many bytes were whole.
  private mutating func parse(_ data: UnsafeRawBufferPointer) throws(PostgresError) -> Int {
    guard let base = data.baseAddress.map({ UnsafeRawPointer($0) }) else { return 0 }
    var offset = 0
    if !hasHeader {
      guard data.count >= 19 else { return 0 }
      guard data.starts(with: Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0]) else {
        throw .malformed("a COPY without its signature")
      }
      let length = Int(base.bigEndian(UInt32.self, at: 15))
      guard data.count >= 19 + length else { return 0 }
      offset = 19 + length
      hasHeader = true
    }
    while !isOver, data.count - offset >= 2 {
      let fields = base.bigEndian(Int16.self, at: offset)
      if fields == -1 {
        isOver = true
        return data.count
      }
      guard Int(fields) == columns.count else {
        throw .malformed("a row of \(fields) columns in a COPY of \(columns.count)")
      }
      guard let end = rowEnd(base, data.count, offset + 2) else { return offset }
      var place = offset + 2
      for column in columns.indices {
        let length = Int(base.bigEndian(Int32.self, at: place))
        let image =
          length < 0 ? nil : UnsafeRawBufferPointer(start: base + place + 4, count: length)
        columns[column].append(image: image)
        place += 4 + max(0, length)
      }
      rowCount += 1
      offset = end
    }
    return offset
  }

  /// Where the row that begins there ends; nil where not all of it is there.
  private func rowEnd(_ base: UnsafeRawPointer, _ count: Int, _ start: Int) -> Int? {
    var offset = start
    for _ in columns {
      guard count - offset >= 4 else { return nil }
      offset += 4 + max(0, Int(base.bigEndian(Int32.self, at: offset)))
    }
    return offset <= count ? offset : nil
  }
}

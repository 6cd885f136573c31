internal import CLibPQ

/// The answer to a statement: rows in the server's binary form, decoded on demand.
///
/// Copies share the memory, which is freed with the last of them.
public struct Rows: Sendable {
  public struct Field: Sendable, Equatable {
    public var name: String
    public var typeOID: OID
  }

  private let result: QueryResult
  public let count: Int
  public let columns: [Field]
  /// Rows that the statement returned, inserted, updated or deleted.
  public let affected: Int

  init(_ result: QueryResult) {
    self.result = result
    count = result.rowCount
    columns = (0..<result.columnCount).map {
      Field(name: result.columnName($0), typeOID: result.typeOID($0))
    }
    affected = result.affected
  }

  public var isEmpty: Bool { count == 0 }

  /// What the server calls the statement that ran, as `INSERT 0 5`.
  public var commandTag: String { result.commandTag }

  /// The index of the first column of that name.
  ///
  /// - Throws: 42703 when there is none.
  public func index(of name: String) throws(PostgresError) -> Int {
    guard let index = columns.firstIndex(where: { $0.name == name }) else {
      throw PostgresError(
        sqlState: "42703", message: "the result has no column \"\(name)\"",
        detail: "It has \(columns.map(\.name).joined(separator: ", ")).")
    }
    return index
  }

  /// A column's values, typed.
  ///
  /// - Throws: 0A000 for a type that has no typed form; its images are still to be had from `raw`.
  /// - Complexity: One pass; some 10 ns a value of fixed width.
  public func column(_ index: Int) throws(PostgresError) -> ColumnVector {
    precondition(columns.indices.contains(index), "no column \(index) of \(columns.count)")
    let vector = try ColumnDecoder.decode(
      ResultSource(result, column: index), typeOID: columns[index].typeOID)
    return withExtendedLifetime(result) { vector }
  }

  public func column(_ name: String) throws(PostgresError) -> ColumnVector {
    try column(index(of: name))
  }

  /// Several columns' values, typed; all columns by default.
  ///
  /// Faster than one after the other where they are many and of fixed width: each row is fetched
  /// from memory once.
  ///
  /// - Throws: As `column(_:)`.
  public func vectors(_ range: Range<Int>? = nil) throws(PostgresError) -> [ColumnVector] {
    let range = range ?? columns.indices
    precondition(
      range.lowerBound >= 0 && range.upperBound <= columns.count,
      "no columns \(range) of \(columns.count)")
    let fixed = range.filter { BlockDecoder.width(of: columns[$0].typeOID) != nil }
    var decoded = try BlockDecoder.decode(
      result, columns: fixed.map { ($0, columns[$0].typeOID) }
    )[...]
    var vectors: [ColumnVector] = []
    vectors.reserveCapacity(range.count)
    for index in range {
      if BlockDecoder.width(of: columns[index].typeOID) != nil {
        vectors.append(decoded.removeFirst())
      } else {
        vectors.append(try column(index))
      }
    }
    return vectors
  }

  /// A column's images, whatever its type.
  public func raw(_ index: Int) -> RawColumn {
    precondition(columns.indices.contains(index), "no column \(index) of \(columns.count)")
    return withExtendedLifetime(result) {
      RawColumn(ResultSource(result, column: index), typeOID: columns[index].typeOID)
    }
  }

  public func isNull(_ row: Int, _ column: Int) -> Bool {
    PQgetisnull(result.handle, Int32(row), Int32(column)) != 0
  }

  /// One value; `T` is optional where NULL is expected.
  ///
  /// - Throws: 22002 for NULL where `T` is not optional, 42804 where the type does not fit.
  public func value<T: PostgresDecodable>(_ row: Int, _ column: Int, as type: T.Type = T.self)
    throws(PostgresError) -> T
  {
    precondition((0..<count).contains(row), "no row \(row) of \(count)")
    precondition(columns.indices.contains(column), "no column \(column) of \(columns.count)")
    let source = ResultSource(result, column: column)
    let length = source.length(row)
    let image =
      length < 0
      ? nil : UnsafeRawBufferPointer(start: source.image(row), count: Int(length))
    let field = FieldImage(
      name: columns[column].name, typeOID: columns[column].typeOID, bytes: image)
    defer { withExtendedLifetime(result) {} }
    return try T(field)
  }

  public func value<T: PostgresDecodable>(_ row: Int, _ name: String, as type: T.Type = T.self)
    throws(PostgresError) -> T
  {
    try value(row, index(of: name), as: type)
  }
}

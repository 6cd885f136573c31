internal import CLibPQ

/// Owns a result of libpq. Its memory does not change until it is freed, so threads may share it.
final class QueryResult: @unchecked Sendable {
  let handle: OpaquePointer

  init(taking handle: OpaquePointer) { self.handle = handle }
  deinit { PQclear(handle) }

  var status: ExecStatusType { PQresultStatus(handle) }
  var rowCount: Int { Int(PQntuples(handle)) }
  var columnCount: Int { Int(PQnfields(handle)) }
  /// As `INSERT 0 5`; empty where the statement has none.
  var commandTag: String { String(cString: PQcmdStatus(handle)) }
  var affected: Int { Int(String(cString: PQcmdTuples(handle))) ?? 0 }

  func columnName(_ column: Int) -> String { String(cString: PQfname(handle, Int32(column))) }
  func typeOID(_ column: Int) -> OID { OID(rawValue: PQftype(handle, Int32(column))) }

  private func field(_ code: Character) -> String? {
    PQresultErrorField(handle, Int32(code.asciiValue!)).map { String(cString: $0) }
  }

  /// The session ends with this error.
  var isFatal: Bool { ["FATAL", "PANIC"].contains(field("V")) }

  func error(statement: String? = nil) -> PostgresError {
    let message = field("M") ?? String(cString: PQresultErrorMessage(handle)).trimmed
    var error = PostgresError(
      sqlState: field("C") ?? "08006", message: message, detail: field("D"), hint: field("H"))
    error.context = field("W")
    error.statement = statement
    error.position = field("P").flatMap { Int($0) }
    error.schemaName = field("s")
    error.tableName = field("t")
    error.columnName = field("c")
    error.dataTypeName = field("d")
    error.constraintName = field("n")
    return error
  }
}

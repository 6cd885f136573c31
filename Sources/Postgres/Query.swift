internal import CLibPQ

/// A statement and the values it is run with.
///
/// Not a string: `"select \(id)"` binds a parameter, `\(identifier: "t")` is quoted by libpq when
/// the statement is run, so neither can end up as SQL.
public struct Query: Sendable {
  enum Segment: Sendable {
    case text(String)
    case identifier([String])
    /// nil is NULL.
    case literal(String?)
  }

  private(set) var segments: [Segment]
  public private(set) var values: [any PostgresEncodable]

  /// Text that the caller wrote or the database made, with `$1`, `$2`, ... for the values.
  public init(text: String, values: [any PostgresEncodable] = []) {
    segments = [.text(text)]
    self.values = values
  }

  init(segments: [Segment]) { (self.segments, values) = (segments, []) }
}

extension Query: ExpressibleByStringInterpolation {
  public init(stringLiteral value: StaticString) {
    segments = [.text("\(value)")]
    values = []
  }

  public init(stringInterpolation: StringInterpolation) {
    segments = stringInterpolation.segments
    values = stringInterpolation.values
  }

  public struct StringInterpolation: StringInterpolationProtocol {
    var segments: [Segment] = []
    var values: [any PostgresEncodable] = []

    public init(literalCapacity: Int, interpolationCount: Int) {
      segments.reserveCapacity(2 * interpolationCount + 1)
    }

    public mutating func appendLiteral(_ literal: StaticString) {
      append("\(literal)")
    }

    /// Binds the value as the next parameter.
    public mutating func appendInterpolation(_ value: some PostgresEncodable) {
      values.append(value)
      append("$\(values.count)")
    }

    /// A name of the database, each part quoted: `\(identifier: schema, table)`.
    public mutating func appendInterpolation(identifier parts: String...) {
      segments.append(.identifier(parts))
    }

    private mutating func append(_ text: String) {
      if case .text(let before)? = segments.last {
        segments[segments.count - 1] = .text(before + text)
      } else {
        segments.append(.text(text))
      }
    }
  }
}

extension Query {
  /// The statement as the server reads it.
  func text(quotedBy handle: OpaquePointer) throws(PostgresError) -> String {
    if segments.count == 1, case .text(let text) = segments[0] { return text }
    var text = ""
    for segment in segments {
      switch segment {
      case .text(let part): text += part
      case .identifier(let parts):
        for (index, part) in parts.enumerated() {
          if index > 0 { text += "." }
          text += try Self.quoted(part, by: handle)
        }
      case .literal(let value): text += try Self.literal(value, by: handle)
      }
    }
    return text
  }

  private static func literal(_ value: String?, by handle: OpaquePointer) throws(PostgresError)
    -> String
  {
    guard let value else { return "null" }
    guard !value.utf8.contains(0), let escaped = PQescapeLiteral(handle, value, value.utf8.count)
    else {
      throw PostgresError(
        sqlState: "22021", message: "a value cannot be written as a literal",
        detail: String(cString: PQerrorMessage(handle)).trimmed)
    }
    defer { PQfreemem(escaped) }
    return String(cString: escaped)
  }

  private static func quoted(_ name: String, by handle: OpaquePointer) throws(PostgresError)
    -> String
  {
    // libpq stops at a NUL, which would quote another name than the one given.
    guard !name.utf8.contains(0), !name.isEmpty else {
      throw PostgresError(
        sqlState: "42602", message: "a name is empty or holds a zero byte",
        hint: "PostgreSQL has no such names.")
    }
    let escaped = PQescapeIdentifier(handle, name, name.utf8.count)
    guard let escaped else {
      throw PostgresError(
        sqlState: "42602", message: "a name cannot be quoted",
        detail: String(cString: PQerrorMessage(handle)).trimmed)
    }
    defer { PQfreemem(escaped) }
    return String(cString: escaped)
  }
}

/// A JSON document as a tree.
///
/// Members keep their order, and their names are compared byte by byte: two tokens that Unicode calls
/// equivalent are two tokens.
indirect enum JSONValue: Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([(name: String, value: JSONValue)])

  init(_ bytes: [UInt8], limits: ModelLimits) throws(ModelError) {
    var reader = JSONReader(bytes, limits: limits)
    self = try Self.read(&reader)
    try reader.end()
  }

  private static func read(_ reader: inout JSONReader) throws(ModelError) -> JSONValue {
    switch try reader.nextKind() {
    case .object:
      var members: [(name: String, value: JSONValue)] = []
      try reader.object { reader, name throws(ModelError) in
        members.append((name, try read(&reader)))
      }
      return .object(members)
    case .array:
      var elements: [JSONValue] = []
      try reader.array { reader, _ throws(ModelError) in elements.append(try read(&reader)) }
      return .array(elements)
    case .string: return .string(try reader.string())
    case .scalar:
      let text = try reader.number()
      switch text {
      case "null": return .null
      case "true": return .bool(true)
      case "false": return .bool(false)
      default:
        guard let number = Double(text), number.isFinite else {
          throw ModelError(.malformed, "\"\(text.prefix(40))\" is not a number")
        }
        return .number(number)
      }
    }
  }
}

/// A member of a document, with its place for messages: `pre_tokenizer.pattern`.
struct JSONMember {
  let path: String
  let value: JSONValue

  /// Absent members are null.
  subscript(_ name: String) -> JSONMember {
    var found = JSONValue.null
    if case .object(let members) = value {
      // Of members with one name the last counts, as in other readers.
      found = members.last { $0.name.utf8.elementsEqual(name.utf8) }?.value ?? .null
    }
    return JSONMember(path: path.isEmpty ? name : "\(path).\(name)", value: found)
  }

  var isNull: Bool { if case .null = value { true } else { false } }

  func malformed(_ what: String) -> ModelError {
    ModelError(.malformed, "tokenizer: \"\(path)\" \(what)")
  }

  func string() throws(ModelError) -> String {
    guard case .string(let text) = value else { throw malformed("is not a string") }
    return text
  }

  func optionalString() throws(ModelError) -> String? { isNull ? nil : try string() }

  func bool(_ preset: Bool? = nil) throws(ModelError) -> Bool {
    if isNull, let preset { return preset }
    guard case .bool(let truth) = value else { throw malformed("is neither true nor false") }
    return truth
  }

  func number() throws(ModelError) -> Double {
    guard case .number(let number) = value else { throw malformed("is not a number") }
    return number
  }

  func integer(_ range: ClosedRange<Int>, _ preset: Int? = nil) throws(ModelError) -> Int {
    if isNull, let preset { return preset }
    guard let whole = Int(exactly: try number()), range.contains(whole) else {
      throw malformed("is not a whole number of \(range.lowerBound) to \(range.upperBound)")
    }
    return whole
  }

  func elements() throws(ModelError) -> [JSONMember] {
    guard case .array(let elements) = value else { throw malformed("is not an array") }
    return elements.enumerated().map {
      JSONMember(path: "\(path)[\($0.offset)]", value: $0.element)
    }
  }

  func members() throws(ModelError) -> [(name: String, value: JSONValue)] {
    guard case .object(let members) = value else { throw malformed("is not an object") }
    return members
  }

  /// The member "type" of a step.
  func type() throws(ModelError) -> String { try self["type"].string() }

  func unsupported(_ what: String) -> ModelError {
    ModelError(.unsupported, "tokenizer: \(what) is not supported (\"\(path)\")")
  }
}

/// Reads a document of objects and arrays in one pass, value by value, as its caller asks.
///
/// Made for models: millions of numbers, from bytes that nobody vouches for. A reader keeps
/// nothing that it has read, bounds the nesting, and names the byte of an error. It is a value: a
/// copy is a place to come back to.
protocol DocumentReader {
  /// Calls `member` for each member of an object; it must read or skip the value.
  mutating func object(
    _ member: (inout Self, String) throws(ModelError) -> Void
  ) throws(ModelError)
  /// Calls `element` for each element of an array; it must read or skip the value.
  mutating func array(
    _ element: (inout Self, Int) throws(ModelError) -> Void
  ) throws(ModelError)
  mutating func skip() throws(ModelError)
  /// The end of the document.
  mutating func end() throws(ModelError)

  mutating func string() throws(ModelError) -> String
  mutating func float() throws(ModelError) -> Float
  mutating func double() throws(ModelError) -> Double
  /// An integer, or a boolean as 0 or 1.
  mutating func integer() throws(ModelError) -> Int

  mutating func floats() throws(ModelError) -> [Float]
  mutating func integers<Value: FixedWidthInteger>(
    as type: Value.Type
  ) throws(ModelError) -> [Value]

  /// What the next value is, without taking it.
  mutating func nextKind() throws(ModelError) -> DocumentKind

  /// An error at this place.
  func malformed(_ what: String) -> ModelError
}

enum DocumentKind: Sendable {
  case object, array, string
  /// A number, a boolean or null.
  case scalar
}

extension DocumentReader {
  mutating func strings() throws(ModelError) -> [String] {
    var values: [String] = []
    try array { reader, _ throws(ModelError) in values.append(try reader.string()) }
    return values
  }

  mutating func doubles() throws(ModelError) -> [Double] {
    var values: [Double] = []
    try array { reader, _ throws(ModelError) in values.append(try reader.double()) }
    return values
  }
}

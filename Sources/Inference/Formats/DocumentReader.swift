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
  /// Readers at the elements of the array that comes next, objects all of them, and one behind it;
  /// nil where that cannot be told before they are read. Nothing is taken.
  func elements() -> (starts: [Self], end: Self)?
  /// Bytes taken so far.
  var offset: Int { get }
  /// The end of the document.
  mutating func end() throws(ModelError)

  mutating func string() throws(ModelError) -> String
  mutating func float() throws(ModelError) -> Float
  mutating func double() throws(ModelError) -> Double
  /// An integer, or a boolean as 0 or 1.
  mutating func integer() throws(ModelError) -> Int

  mutating func floats() throws(ModelError) -> [Float]
  mutating func doubles() throws(ModelError) -> [Double]
  mutating func integers<Value: FixedWidthInteger>(
    as type: Value.Type
  ) throws(ModelError) -> [Value]

  /// What the next value is, without taking it.
  mutating func nextKind() throws(ModelError) -> DocumentKind

  /// An error at this place.
  func malformed(_ what: String) -> ModelError
}

package enum DocumentKind: Sendable {
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

  /// What `element` makes of each element of an array of objects, read on all cores.
  ///
  /// - Throws: what reading them one after the other throws.
  mutating func concurrentArray<Value>(
    _ element: (inout Self, Int) throws(ModelError) -> Value
  ) throws(ModelError) -> [Value] {
    if let (starts, end) = elements(), let values = Self.values(starts, end, element) {
      self = end
      return values
    }
    var values: [Value] = []
    try array { reader, index throws(ModelError) in values.append(try element(&reader, index)) }
    return values
  }

  /// Nil where an element is not read, or does not end before the next.
  private static func values<Value>(
    _ starts: [Self], _ end: Self, _ element: (inout Self, Int) throws(ModelError) -> Value
  ) -> [Value]? {
    do throws(ModelError) {
      let groups = Concurrently.ranges(starts.count, least: 1)
      return try Concurrently.tryMap(ranges: groups) { range throws(ModelError) in
        try range.map { index throws(ModelError) in
          var reader = starts[index]
          let value = try element(&reader, index)
          let next = index + 1 < starts.count ? starts[index + 1] : end
          guard reader.offset <= next.offset else { throw reader.malformed("") }
          return value
        }
      }.flatMap { $0 }
    } catch {
      return nil
    }
  }
}

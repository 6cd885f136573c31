internal import Inference

/// Members of requests, which are of one type each: models' files spell truths as numbers, requests do not.
extension JSONReader {
  mutating func truth() throws(ModelError) -> Bool {
    switch try number() {
    case "true": return true
    case "false": return false
    case let word:
      throw ModelError(.mismatch, "\"\(word.excerpt(40))\" is neither true nor false")
    }
  }

  /// A number without a fraction: 3, or 3.0.
  mutating func wholeNumber() throws(ModelError) -> Int {
    let word = try number()
    guard word.utf8.first != UInt8(ascii: "+"),
      let value = Int(word) ?? Double(word).flatMap({ Int(exactly: $0) })
    else { throw ModelError(.mismatch, "\"\(word.excerpt(40))\" is not a whole number") }
    return value
  }
}

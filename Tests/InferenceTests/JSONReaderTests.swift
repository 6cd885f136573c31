import Inference
import Testing

/// Strings of JSON, as models and requests have them.
@Suite struct JSONReaderTests {
  private static func read(_ text: String) throws(ModelError) -> String {
    var reader = JSONReader(Array(text.utf8), limits: ModelLimits())
    let value = try reader.string()
    try reader.end()
    return value
  }

  @Test(arguments: [
    ("\"\"", ""), (#""plain""#, "plain"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
    (#""caf\u00e9\u00E9""#, "caféé"), (#""\ud83c\udf89 \uD83C\uDF89""#, "🎉 🎉"),
    (#""\u0000\ufffd\uffff""#, "\u{0}\u{FFFD}\u{FFFF}"), (#""🎉\n🎉""#, "🎉\n🎉"),
    (#""\u0041\u0301""#, "A\u{301}"),
  ])
  func escapesAreCharacters(_ text: String, _ value: String) throws {
    let read = try Self.read(text)
    #expect(Array(read.unicodeScalars) == Array(value.unicodeScalars), "\(text)")
  }

  @Test(arguments: [
    #""\ud800""#, #""\udc00""#, #""a\udc00b""#, #""\ud83c\ud83c\udf89""#, #""\ud83cx\udf89""#,
    #""\udf89\ud83c""#, #""\ud83c\n""#, #""\u12""#, #""\u00g0""#, #""\x41""#, #""\""#, "\"",
    "\"a\nb\"",
  ])
  func whatIsNoCharacterIsRefused(_ text: String) {
    #expect(throws: ModelError.self) { try Self.read(text) }
  }
}

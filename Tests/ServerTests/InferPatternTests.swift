import Foundation
import Server
import TestRandom
import TestSupport
import Testing

/// Requests in the words of others before them are read by their numbers alone, and mean the same.
@Suite(.database) struct InferPatternTests {
  /// What surrounds lists of numbers, each list as `@`.
  private static let words = [
    #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":@}]}"#,
    #"{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 5], "data": @}]}"#,
    #"{"inputs":[{"data":@,"shape":[2,5],"datatype":"FP64","name":"input"}],"id":"a"}"#,
    #"{"inputs":[{"name":"input","datatype":"INT32","shape":[1,5],"data":@}],"outputs":[{"name":"label"}]}"#,
    #"{"inputs":[{"name":"amount","datatype":"FP32","shape":[1],"data":@},"#
      + #"{"name":"age_days","datatype":"FP64","shape":[1],"data":@},"#
      + #"{"name":"ratio","datatype":"UINT8","shape":[1],"data":@},"#
      + #"{"name":"phase","datatype":"BOOL","shape":[1],"data":@},"#
      + #"{"name":"balance","datatype":"FP64","shape":[1,1],"data":@}]}"#,
    #"{"inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":[1],"data":@}]}"#,
    #"{"id":"a","inputs":[{"name":"input","datatype":"FP64","shape":[1,5],"data":@}],"#
      + #""outputs":[{"name":"probability","parameters":{"classification":2}}]}"#,
  ]

  private static func number(_ random: inout SplitMix64) -> String {
    switch Int.random(in: 0..<20, using: &random) {
    case 0: "-0"
    case 1: "1e-3"
    case 2: "2.5E+2"
    case 3: "NaN"
    case 4: "null"
    case 5: "\"7\""
    case 6: "123456789012345678901234567890"
    case 7: "+1"
    case 8: "true"
    case 9: "300"
    case 10...13: String(Int.random(in: 0...200, using: &random))
    default: String(Double.random(in: -5...5, using: &random))
    }
  }

  private static func list(_ random: inout SplitMix64, like count: Int) -> String {
    var numbers = (0..<count).map { _ in number(&random) }
    switch Int.random(in: 0..<24, using: &random) {
    case 0: numbers.removeLast()
    case 1: numbers.append("1")
    case 2:
      let depth = [1, 61, 62, 63].randomElement(using: &random)!
      return String(repeating: "[", count: depth + 1) + numbers.joined(separator: ",")
        + String(repeating: "]", count: depth + 1)
    case 3: return "[\(numbers.joined(separator: ",")),]"
    case 4: return "[\(numbers.joined(separator: ","))"
    case 5: return "[]"
    case 6: return "[\(numbers.joined(separator: ","))]}"
    case 7: return "[\(numbers.joined(separator: " "))]"
    default: break
    }
    return "[" + numbers.joined(separator: Bool.random(using: &random) ? "," : " , ") + " ]"
  }

  private static func body(_ random: inout SplitMix64) -> String {
    let place = Int.random(in: 0..<words.count, using: &random)
    let parts = words[place].split(separator: "@", omittingEmptySubsequences: false)
    let count = [5, 5, 10, 5, 1, 5, 5][place]
    var body = String(parts[0])
    for part in parts.dropFirst() { body += list(&random, like: count) + part }
    switch Int.random(in: 0..<16, using: &random) {
    case 0: return body + " "
    case 1: return body + "x"
    case 2: return String(body.dropLast())
    case 3: return body.replacing("FP64", with: "FP32")
    default: return body
    }
  }

  private static func request(_ body: String, inChunks: Bool) -> String {
    let size = body.utf8.count
    return "POST /v2/models/bank/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      + "X-Request-ID: a\r\n"
      + (inChunks
        ? "Transfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
        : "Content-Length: \(size)\r\n\r\n\(body)")
  }

  /// The status, and the body.
  private static func essence(of answer: String) -> [String] {
    [
      String(answer.prefix { $0 != "\r\n" }),
      answer.components(separatedBy: "\r\n\r\n").dropFirst().joined(),
    ]
  }

  /// On one connection, so that one loop hears them all: as they come, and in chunks, which are read as if nothing
  /// had come before.
  @Test(arguments: [1, 2, 3]) func theyAreReadAsAnyOther(seed: UInt64) async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      var random = SplitMix64(seed: seed)
      let plain = try RawClient(scene)
      var chunked = try RawClient(scene)
      var scored = 0
      for _ in 0..<400 {
        let body = Self.body(&random)
        plain.say(Self.request(body, inChunks: false))
        let answer = Self.essence(of: await plain.readAnswer())
        chunked.say(Self.request(body, inChunks: true))
        let expected = await chunked.readAnswer()
        #expect(answer == Self.essence(of: expected), "\(body)")
        // Whose body has no length is not heard to its end.
        if expected.lowercased().contains("connection: close") { chunked = try RawClient(scene) }
        if answer[0].contains("200") { scored += 1 }
      }
      // Enough of them follow others of their words.
      #expect(scored > 40, "\(scored)")
    }
  }
}

import Foundation
import Server
import TestSupport
import Testing

/// What is said over and over: a small request would have a large answer, and nobody knows what counts.
@Suite(.database) struct WantedOutputTests {
  @Test func anOutputIsGivenOnce() async throws {
    try await OverloadTests.serve(waiting: .zero) { scene in
      let body = OverloadTests.body.dropLast() + #","outputs":[{"name":"label"},{"name":"label"}]}"#
      let answer = try await scene.send(
        "POST", "/v2/models/bank/infer", headers: ["Content-Type": "application/json"],
        body: Data(body.utf8))
      #expect(answer.status == 400 && answer.text.contains("wanted twice"))
      let records = try await scene.send(
        "POST", "/v1/models/bank/predict?keep=a,b,a",
        headers: ["Content-Type": "application/json"], body: Data("[{}]".utf8))
      #expect(records.status == 400 && records.text.contains("twice"))
    }
  }

  /// The message names what was said as its sender knows it.
  @Test func whatIsSaidTwiceIsRefused() async throws {
    try ServerScene.pushColours()
    try await OverloadTests.serve(waiting: .zero) { scene in
      let input = #"{"name":"input","datatype":"FP64","shape":[1,5],"data":[1,2,3,4,5]}"#
      let row = #""amount":1,"age_days":1,"ratio":1,"phase":1,"balance":1"#
      for (path, body, message) in [
        ("/api/v1/service/colours/score?top_k=2&top_k=2", "{}", #"the query has "top_k" twice"#),
        ("/v1/models/bank/predict?keep=a&keep=b", "[{}]", #"the query has "keep" twice"#),
        (
          "/v1/models/bank/predict", "[{\(row)},\n\n{\(row),\"amount\":2}]",
          #"record 2 has member "amount" twice"#
        ),
        (
          "/v2/models/bank/infer", #"{"inputs":[\#(input)],"inputs":[\#(input)]}"#,
          #"the body has "inputs" twice"#
        ),
      ] {
        let answer = try await scene.post(path, body)
        let text = try #require(try answer.json["error"] as? String)
        #expect(answer.status == 400 && text.contains(message), "\(path): \(answer.text)")
      }
      // What nobody looks at may be said as often as one likes.
      let other = try await scene.post("/v1/models/bank/predict?a=1&a=2", "[{\(row)}]")
      #expect(other.status == 200, "\(other.text)")
    }
  }
}

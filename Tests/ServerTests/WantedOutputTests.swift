import Foundation
import Server
import TestSupport
import Testing

/// What a small request asks for over and over would be a large answer.
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
}

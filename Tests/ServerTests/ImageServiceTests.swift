import Foundation
import Inference
import ModelFixtures
import Postgres
import Scoring
import Server
import TestSupport
import Testing

/// Images in, categories out, whatever the bytes are.
@Suite(.database) struct ImageServiceTests {
  /// Numbers for red, green and blue: ten times how much there is of each.
  private static let colours: [UInt8] = {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.initializer(
      "weights",
      .init(
        dims: [48, 3], .floats((0..<144).map { $0 / 3 / 16 == $0 % 3 ? Float(10) / 16 : 0 })))
    model.node("Flatten", ["picture"], ["flat"])
    model.node("MatMul", ["flat", "weights"], ["logits"])
    model.output("logits", .float, [nil, 3])
    return model.bytes()
  }()

  static func picture(_ colour: (UInt8, UInt8, UInt8)) throws -> Data {
    let pixels = (0..<400).flatMap { _ in [colour.0, colour.1, colour.2] }
    return Data(
      try #require(JPEGEncoder.encode(pixels, width: 20, height: 20, channels: 3, quality: 95)))
  }

  static func pushColours() throws {
    let connection = try Database.current.connect()
    defer { connection.close() }
    _ = try Registry(connection).push(
      .init(
        name: "colours", bytes: colours, alias: "champion", labels: ["red", "green", "blue"],
        setup: ModelSetup.read(json: #"{"image": {"preset": "plain"}, "softmax": true}"#)))
  }

  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try pushColours()
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  @Test func anImageGetsItsCategories() async throws {
    try await Self.serve { scene in
      let path = "/api/v1/service/colours/score"
      let green = try Self.picture((10, 240, 30))
      func ranked(_ answer: ServerScene.Answer) throws -> [[Any]] {
        try #require(answer.status == 200, "\(answer.text)")
        return try #require(JSONSerialization.jsonObject(with: answer.data) as? [[Any]])
      }
      let raw = try ranked(
        try await scene.send(
          "POST", path, headers: ["Content-Type": "image/jpeg"], body: green))
      #expect(raw.count == 3 && raw[0][0] as? String == "green")
      #expect(try #require(raw[0][1] as? Double) > 0.5)
      let coded = "{\"image\": \"\(green.base64EncodedString())\"}"
      let json = try ranked(
        try await scene.post(path, "{\"input\": \(coded), \"top_k\": 1}"))
      #expect(json.count == 1 && json[0][0] as? String == "green")
      let text = String(decoding: try JSONEncoder().encode(coded), as: UTF8.self)
      let twice = try ranked(try await scene.post("/score", "{\"input\": \(text)}"))
      #expect(twice.count == 3 && twice[0][1] as? Double == raw[0][1] as? Double)
    }
  }

  @Test func whatIsNoImageIsRefused() async throws {
    try await Self.serve { scene in
      let red = try Self.picture((250, 10, 20))
      var corrupt = red
      for index in (corrupt.count - 40)..<(corrupt.count - 10) { corrupt[index] = 0xff }
      // A header that claims 20,000 x 20,000 pixels.
      let bomb = Data(
        [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52]
          + [0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8]
          + [0x49, 0x44, 0x41, 0x54])
      for body in [red.prefix(red.count / 2), corrupt, bomb, Data("no image".utf8), Data([0])] {
        let answer = try await scene.send(
          "POST", "/score", headers: ["Content-Type": "image/png"], body: Data(body))
        #expect((400..<500).contains(answer.status), "\(answer.text)")
      }
    }
  }
}

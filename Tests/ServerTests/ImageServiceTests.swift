import Foundation
import ModelFixtures
import Postgres
import Server
import TestRandom
import TestSupport
import Testing

/// Images in, categories out, whatever the bytes are: over HTTP what there is in a table.
@Suite(.database, .timeLimit(.minutes(5))) struct ImageServiceTests {
  private static let path = "/api/v1/service/colours/score"

  private struct Category: Equatable {
    var name: String
    var score: Float
  }

  private enum Verdict: Equatable {
    /// Best first.
    case ranked([Category])
    case refused(code: String, reason: String)

    var isRefusal: Bool { if case .refused = self { true } else { false } }

    /// Scores by name; empty where it is refused.
    var scores: [String: Float] {
      guard case .ranked(let categories) = self else { return [:] }
      return Dictionary(uniqueKeysWithValues: categories.map { ($0.name, $0.score) })
    }

    /// How far the scores are from another's; infinite where either is refused.
    func distance(to other: Verdict) -> Float {
      let (own, others) = (scores, other.scores)
      guard !own.isEmpty, own.keys == others.keys else { return .infinity }
      return own.map { abs($0.value - (others[$0.key] ?? .infinity)) }.max() ?? .infinity
    }
  }

  private struct Image {
    var name: String
    var bytes: [UInt8]

    /// As its name says, which is not always what it is.
    var type: String {
      ["jpeg", "png", "webp"].first { name.hasPrefix($0) }.map { "image/\($0)" }
        ?? "application/octet-stream"
    }
  }

  // MARK: Asking

  private static func serve(_ body: (ServerScene) async throws -> Void) async throws {
    try ServerScene.pushColours()
    try await ServerScene.run({ $0.needsKeys = false }, body)
  }

  private static func post(
    _ image: Image, _ scene: ServerScene, type: String? = nil
  ) async throws -> ServerScene.Answer {
    try await scene.send(
      "POST", path, headers: ["Content-Type": type ?? image.type], body: Data(image.bytes))
  }

  /// `{"image": "<base64>"}`
  private static func coded(_ image: Image) -> String {
    "{\"image\": \"\(Data(image.bytes).base64EncodedString())\"}"
  }

  /// The verdict of an answer; anything but 200 and 4xx fails the test.
  private static func verdict(_ answer: ServerScene.Answer, _ name: String) throws -> Verdict {
    if answer.status == 200 {
      let ranked = try #require(
        JSONSerialization.jsonObject(with: answer.data) as? [[Any]], "\(name)")
      return .ranked(
        try ranked.map { row in
          try #require(row.count == 2, "\(name)")
          return Category(
            name: try #require(row[0] as? String, "\(name)"),
            score: Float(try #require(row[1] as? Double, "\(name)")))
        })
    }
    #expect((400..<500).contains(answer.status), "\(name): \(answer.status) \(answer.text)")
    let json = try answer.json
    return .refused(
      code: try #require(json["code"] as? String, "\(name)"),
      reason: try #require(json["error"] as? String, "\(name)"))
  }

  /// What a scorer makes of images in a table.
  ///
  /// - Parameter together: Whether it scores many at once: products of matrices then add in another order than
  ///   for an image alone, and differ in the last bits.
  private static func inSQL(_ images: [Image], together: Bool) async throws -> [Verdict] {
    let settings = Database.current.settings
    let work: @Sendable () throws -> [Verdict] = {
      let connection = try Connection(settings)
      try connection.runScript("create table shot (shot_id int primary key, picture bytea)")
      try connection.run(
        """
        select count(*) from rowcast.create_scorer('shot_colour', 'public.shot', \
        model => 'colours', top_k => 3)
        """)
      if together { try connection.runScript("begin") }
      for (id, image) in images.enumerated() {
        try connection.run("insert into shot values (\(Int32(id)), \(image.bytes))")
        if !together { try connection.run("call rowcast.wait('shot_colour', '2 minutes')") }
      }
      if together { try connection.runScript("commit") }
      try connection.run("call rowcast.wait('shot_colour', '2 minutes')")
      return try images.indices.map { try verdict(of: Int32($0), connection) }
    }
    var verdicts: [Verdict] = []
    try await ServerScene.withWorker {
      verdicts = try await offThePool { Result { try work() } }.get()
    }
    return verdicts
  }

  private static func verdict(of id: Int32, _ connection: Connection) throws -> Verdict {
    let failed = try connection.run(
      "select code, reason from predictions.shot_colour_failure where shot_id = \(id)")
    if failed.count > 0 {
      return .refused(code: try failed.value(0, 0), reason: try failed.value(0, 1))
    }
    let rows = try connection.run(
      "select label, score from predictions.shot_colour_classes where shot_id = \(id) order by rank"
    )
    return .ranked(
      try (0..<rows.count).map {
        Category(name: try rows.value($0, 0), score: try rows.value($0, 1))
      })
  }

  // MARK: Kinds

  @Test func anImageGetsItsCategories() async throws {
    try await Self.serve { scene in
      let green = Image(name: "jpeg", bytes: ColourModel.picture((10, 240, 30)))
      let raw = try Self.verdict(try await Self.post(green, scene), "raw")
      guard case .ranked(let categories) = raw else {
        Issue.record("refused: \(raw)")
        return
      }
      #expect(categories.count == 3 && categories[0].name == "green")
      #expect(categories[0].score > 0.5)
      let best = try Self.verdict(
        try await scene.post(Self.path, "{\"input\": \(Self.coded(green)), \"top_k\": 1}"), "best")
      #expect(best == .ranked([categories[0]]))
    }
  }

  /// Baseline and progressive, grey, CMYK and its inversion by Adobe, of few bits and of sixteen, palettes,
  /// transparency, interlaced, turned in each of eight ways.
  @Test func everyKindIsAnsweredRightAndAsInSQL() async throws {
    let fixtures = try ImageFixture.all()
    var images = fixtures.map { Image(name: $0.name, bytes: Array($0.bytes)) }
    images.append(Image(name: "png_1x1", bytes: PNGWriter.png([10, 20, 250], width: 1, height: 1)))
    // 108 MB of pixels in less than one.
    images.append(Image(name: "png_black", bytes: PNGWriter.black(width: 6000, height: 6000)))
    let photograph = Fixtures.root.appending(
      path: "../shared/data/image_classification/lynx_220x330.jpg")
    if let bytes = try? Data(contentsOf: photograph) {
      images.append(Image(name: "jpeg_photograph", bytes: Array(bytes)))
    }
    try await Self.serve { scene in
      var found: [String: Verdict] = [:]
      for (image, wanted) in zip(images, try await Self.inSQL(images, together: false)) {
        #expect(!wanted.isRefusal, "\(image.name): \(wanted)")
        let object = Self.coded(image)
        let string = String(decoding: try JSONEncoder().encode(object), as: UTF8.self)
        let whole = String(
          decoding: try JSONEncoder().encode("{\"input\": \(object)}"), as: UTF8.self)
        let answers = [
          try await Self.post(image, scene),
          try await Self.post(image, scene, type: "application/octet-stream"),
          // What the bytes are counts, not what is said of them.
          try await Self.post(image, scene, type: "image/gif"),
          try await scene.post(Self.path, "{\"input\": \(object)}"),
          try await scene.post(Self.path, "{\"input\": \(string)}"),
          try await scene.post("/score", whole),
        ]
        for (way, answer) in answers.enumerated() {
          let verdict = try Self.verdict(answer, "\(image.name), way \(way)")
          #expect(verdict == wanted, "\(image.name), way \(way)")
        }
        found[image.name] = wanted
      }
      // The pixels that Pillow sees, as a file without any of this.
      for fixture in fixtures {
        let plain = PNGWriter.png(
          Array(fixture.rgb), width: fixture.width, height: fixture.height)
        let right = try Self.verdict(
          try await Self.post(Image(name: "png", bytes: plain), scene), fixture.name)
        let distance = try #require(found[fixture.name]).distance(to: right)
        #expect(distance <= (fixture.isExact ? 0 : 0.01), "\(fixture.name)")
      }
      // Each way of turning it makes another picture, so that none is taken for another.
      let turned = try (1...8).map { try #require(found["jpeg_orientation_\($0)"]) }
      for (place, one) in turned.enumerated() {
        for other in turned[(place + 1)...] { #expect(one.distance(to: other) > 0.02) }
      }
      let black = try #require(found["png_black"]).scores
      #expect(black.count == 3 && black.values.allSatisfy { abs($0 - 1 / 3) < 1e-6 })
    }
  }

  // MARK: What is no image

  @Test func damagedImagesAreRefusedAsInSQL() async throws {
    var random = SplitMix64(seed: 11)
    var cut: [Image] = []
    var changed: [Image] = []
    for fixture in try ImageFixture.all() {
      let bytes = Array(fixture.bytes)
      for length in [1, 8, bytes.count / 4, bytes.count / 2, bytes.count * 7 / 8, bytes.count - 1] {
        cut.append(
          Image(name: "\(fixture.name), cut at \(length)", bytes: Array(bytes.prefix(length))))
      }
      for number in 0..<10 {
        var damaged = bytes
        for _ in 0...number / 3 {
          damaged[Int.random(in: 0..<bytes.count, using: &random)] ^=
            1 << UInt8.random(in: 0..<8, using: &random)
        }
        changed.append(Image(name: "\(fixture.name), changed \(number)", bytes: damaged))
      }
    }
    let folder = Fixtures.root.appending(path: "Tests/Fuzz/Regressions/image")
    let regressions = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(regressions.count >= 18)
    for name in regressions {
      changed.append(
        Image(name: name, bytes: Array(try Data(contentsOf: folder.appending(path: name)))))
    }
    let bombs = [
      Image(name: "png_claim", bytes: PNGWriter.claim(width: 20_000, height: 20_000)),
      Image(name: "png_most", bytes: PNGWriter.claim(width: 0x7FFF_FFFF, height: 0x7FFF_FFFF)),
      // 81 million pixels that are there: 243 MB in two.
      Image(name: "png_bomb", bytes: PNGWriter.black(width: 9000, height: 9000)),
    ]
    let strangers = [
      "GIF89a\u{1}\u{0}\u{1}\u{0}", "BM\u{46}\u{0}\u{0}\u{0}", "II*\u{0}\u{8}\u{0}\u{0}\u{0}",
      "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>", "%PDF-1.7", "no image",
      "\u{0}\u{0}\u{0}\u{1C}ftypavif", "RIFF\u{24}\u{0}\u{0}\u{0}WAVEfmt ", "{\"input\": \"text\"}",
    ].map { Image(name: String($0.prefix(12)), bytes: Array($0.utf8)) }
    try await Self.serve { scene in
      let refused = cut + bombs + strangers
      let images = refused + changed
      let verdicts = try await Self.inSQL(images, together: true)
      for (place, (image, wanted)) in zip(images, verdicts).enumerated() {
        let answer = try await Self.post(image, scene)
        let verdict = try Self.verdict(answer, image.name)
        #expect(verdict == wanted || verdict.distance(to: wanted) < 1e-6, "\(image.name)")
        if place < refused.count { #expect(wanted.isRefusal, "\(image.name)") }
      }
      for image in bombs + strangers {
        let answer = try await scene.post(Self.path, "{\"input\": \(Self.coded(image))}")
        let verdict = try Self.verdict(answer, image.name)
        #expect(verdict.isRefusal, "\(image.name)")
      }
      // After all that an image is an image still.
      let red = Image(name: "jpeg", bytes: ColourModel.picture((250, 10, 20)))
      let still = try Self.verdict(try await Self.post(red, scene), "red")
      #expect(still.scores["red"] ?? 0 > 0.5)
    }
  }

  @Test func whatIsNotThereIsRefused() async throws {
    try await Self.serve { scene in
      let empty = Image(name: "nothing", bytes: [])
      for type in ["image/jpeg", "image/png", "application/octet-stream", "application/json"] {
        let answer = try await Self.post(empty, scene, type: type)
        #expect(answer.status == 400, "\(type): \(answer.text)")
      }
      for body in [
        #"{"input": {"image": ""}}"#, #"{"input": {"image": "no base64"}}"#,
        #"{"input": {"image": null}}"#, #"{"input": {"image": ["/9j/"]}}"#,
        #"{"input": {"picture": "/9j/4A=="}}"#,
        #"{"input": "where is my order?"}"#, #"{"input": {"text": "red"}}"#, #"{"input": "{}"}"#,
      ] {
        let answer = try await scene.post(Self.path, body)
        #expect(answer.status == 400, "\(body): \(answer.text)")
      }
      let text = Image(name: "text", bytes: ColourModel.picture((250, 10, 20)))
      #expect(try await Self.post(text, scene, type: "text/plain").status == 400)
    }
  }
}

import Foundation
import Inference
import ModelFixtures
import TestRandom
import Testing

/// Encoded images, held to what Pillow and NumPy make of them.
@Suite struct ImageTests {
  struct Resized: Decodable {
    struct Case: Decodable {
      var filter: String
      var width: Int
      var height: Int
      var rgb: Data
    }

    var width: Int
    var height: Int
    var rgb: Data
    var cases: [Case]
  }

  struct Prepared: Decodable {
    var name: String
    var bytes: Data
    var setup: ImageSetup
    var channelsFirst: Bool
    var channels: Int
    var values: Data
  }

  static func fixture<T: Decodable>(_ name: String) throws -> T {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(
      T.self, from: Data(contentsOf: folder.appendingPathComponent("Fixtures/images/\(name)")))
  }

  /// Decodes and changes nothing.
  static func pixels(
    _ bytes: [UInt8], width: Int, height: Int, upsampling: String = "triangle"
  ) throws -> Result<[Float], ImageModel.Refusal> {
    try ImageModel(
      [Int64(height), Int64(width), 3],
      setup: "{\"preset\": \"raw\", \"upsampling\": \"\(upsampling)\"}"
    ).values(bytes)
  }

  @Test func everyKindIsDecodedAsPillowDoes() throws {
    let cases = try ImageFixture.all()
    #expect(cases.count == 38)
    for item in cases {
      let seen = try Self.pixels(Array(item.bytes), width: item.width, height: item.height).get()
      let wanted = item.rgb.map(Float.init)
      let worst = zip(seen, wanted).map { abs($0 - $1) }.max() ?? .infinity
      #expect(seen.count == wanted.count, "\(item.name)")
      // Of the same library as Pillow's: equal, but releases round some colours otherwise.
      #expect(worst <= (item.isExact ? 0 : 1), "\(item.name)")
    }
  }

  /// The shared photograph: its reference was decoded by a library that enlarges colour in the transform.
  @Test(
    .enabled(
      if: FileManager.default.fileExists(atPath: "../shared/data/image_classification"),
      "needs ../shared/data"))
  func thePhotographIsWhole() throws {
    let path = "../shared/data/image_classification/"
    let photograph = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "lynx_220x330.jpg")))
    let reference = try [UInt8](
      Data(contentsOf: URL(fileURLWithPath: path + "lynx_220x330_decoded.png")))
    let wanted = try Self.pixels(reference, width: 220, height: 330).get()
    func distances(_ upsampling: String) throws -> [Float] {
      zip(
        try Self.pixels(photograph, width: 220, height: 330, upsampling: upsampling).get(), wanted
      ).map { abs($0 - $1) }
    }
    let same = try distances("dct")
    #expect(same.max() == 1)
    #expect(same.count { $0 > 0 } < 100)
    // As Pillow reads it, colours differ at edges alone.
    let other = try distances("triangle")
    #expect(other.reduce(0, +) / Float(other.count) < 0.5)
  }

  @Test func resizingIsPillows() throws {
    let source: Resized = try Self.fixture("resized.json")
    let image = PNGWriter.png(Array(source.rgb), width: source.width, height: source.height)
    for item in source.cases {
      let model = try ImageModel(
        [Int64(item.height), Int64(item.width), 3],
        setup: "{\"preset\": \"raw\", \"layout\": \"nhwc\", \"filter\": \"\(item.filter)\"}")
      let seen = try model.values(image).get()
      #expect(
        seen == item.rgb.map(Float.init), "\(item.filter) to \(item.width) x \(item.height)")
    }
  }

  @Test func presetsAreWhatTheirLibrariesDo() throws {
    let cases: [Prepared] = try Self.fixture("prepared.json")
    #expect(cases.count == 30)
    for item in cases {
      let (width, height) = (Int64(item.setup.width!), Int64(item.setup.height!))
      let channels = Int64(item.channels)
      let setup = ModelSetup(image: item.setup).json
      let inner = try #require(
        try JSONSerialization.jsonObject(with: Data(setup.utf8)) as? [String: Any])["image"]
      let json = String(
        decoding: try JSONSerialization.data(withJSONObject: try #require(inner)), as: UTF8.self)
      let model = try ImageModel(
        item.channelsFirst ? [channels, height, width] : [height, width, channels], setup: json)
      let seen = try model.values(Array(item.bytes)).get()
      let wanted = item.values.withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
      }
      #expect(seen == wanted, "\(item.name)")
    }
  }

  @Test func aChannelsFirstImageIsTheSameImage() throws {
    let item = try #require(try ImageFixture.all().first { $0.name == "png_rgb" })
    let bytes = Array(item.bytes)
    let last = try Self.pixels(bytes, width: 19, height: 13).get()
    let first = try ImageModel([3, 13, 19], setup: "{\"preset\": \"raw\"}").values(bytes).get()
    for channel in 0..<3 {
      for pixel in 0..<(13 * 19) {
        #expect(first[channel * 13 * 19 + pixel] == last[pixel * 3 + channel])
      }
    }
    let whole = try ImageModel([13, 19, 3], setup: "{\"preset\": \"raw\"}", type: .uint8)
    #expect(try whole.values(bytes).get() == last)
  }

  @Test func openAxesTakeTheSizeGiven() throws {
    let item = try #require(try ImageFixture.all().first { $0.name == "png_rgb" })
    let model = try ImageModel(
      [3, nil, nil], setup: "{\"preset\": \"torchvision\", \"width\": 8, \"height\": 6}")
    let image = try #require(model.model.signature.features.first?.image)
    #expect(model.model.signature.features.first?.type == .bytes)
    #expect((image.width, image.height, image.layout) == (8, 6, .channelsFirst))
    #expect(try model.values(Array(item.bytes)).get().count == 8 * 6 * 3)
  }

  // MARK: Rows

  @Test func aBadImageIsAFailureBesideItsNeighbours() throws {
    let item = try #require(try ImageFixture.all().first { $0.name == "jpeg_sampling_2" })
    let good = Array(item.bytes)
    let model = try ImageModel([13, 19, 3], setup: "{\"preset\": \"raw\"}")
    var corrupt = good
    for index in (good.count - 120)..<(good.count - 20) { corrupt[index] = 0xff }
    let images = [
      good, Array(good.dropLast(40)), corrupt, Array("no image at all".utf8), [], good,
      PNGWriter.claim(width: 20_000, height: 20_000), good,
    ]
    let predictions = try model.predict(images, nulls: [1 << 5])
    let wanted = ImageModel.row(0, of: predictions)
    #expect(wanted == (try Self.pixels(good, width: 19, height: 13).get()))
    #expect(ImageModel.row(7, of: predictions) == wanted)
    let reasons = Dictionary(
      uniqueKeysWithValues: predictions.failures.map { ($0.row, ($0.code, $0.reason)) })
    #expect(predictions.failures.map(\.row) == [1, 2, 3, 4, 5, 6])
    #expect(reasons[1]?.1 == "feature \"image\": JPEG ends early")
    #expect(reasons[2]?.1.hasPrefix("feature \"image\": JPEG ") == true)
    #expect(reasons[3]?.1 == "feature \"image\": image is neither JPEG nor PNG nor WebP")
    #expect(reasons[4]?.1 == "feature \"image\": image has no bytes")
    #expect(reasons[5]?.0 == .missing)
    #expect(reasons[6]?.1.contains("20000 x 20000 pixels, the limit is 64000000") == true)
    for row in [1, 2, 3, 4, 6] { #expect(reasons[row]?.0 == .badImage) }
  }

  @Test func whatIsCutShortIsRefused() throws {
    for item in try ImageFixture.all() {
      let bytes = Array(item.bytes)
      let model = try ImageModel(
        [Int64(item.height), Int64(item.width), 3], setup: "{\"preset\": \"raw\"}")
      let lengths = Set((0..<40).map { $0 * bytes.count / 40 } + [bytes.count - 1])
      let cut = lengths.sorted().map { Array(bytes.prefix($0)) }
      let failed = try model.predict(cut).failures
      #expect(failed.count == cut.count, "\(item.name)")
    }
  }

  @Test func damagedBytesNeverCrash() throws {
    var random = SplitMix64(seed: 7)
    for item in try ImageFixture.all() {
      let bytes = Array(item.bytes)
      let model = try ImageModel([8, 8, 3], setup: "{\"preset\": \"torchvision\"}")
      let damaged = (0..<60).map { _ in
        var copy = bytes
        for _ in 0..<Int.random(in: 1...12, using: &random) {
          copy[Int.random(in: 0..<copy.count, using: &random)] = .random(
            in: 0...255, using: &random)
        }
        return copy
      }
      let predictions = try model.predict(damaged)
      #expect(predictions.failures.allSatisfy { !$0.reason.isEmpty })
    }
  }

  // MARK: Setups

  @Test(arguments: [
    ("{\"width\": 9}", "image: width 9 is given, input \"image\" has 8"),
    ("{\"preset\": \"torch\"}", "setup: \"image.preset\""),
    ("{\"sise\": 3}", "setup: \"image\": \"sise\" is not known"),
    ("{\"mean\": [1, 2]}", "image: mean has 2 values for 3 channels"),
    ("{\"std\": [1, 0, 1]}", "image: a std is 0"),
    ("{\"divisor\": 0}", "image: divisor is 0.0"),
    ("{\"fit\": \"crop\", \"resize\": 4}", "image: a shorter side of 4 pixels leaves no 8 x 8"),
    ("{\"channels\": \"grey\"}", "image: grey has 1 channels, input \"image\" has 3"),
    ("{\"input\": \"picture\"}", "image: the model has no input \"picture\""),
    ("{\"resize\": 100000}", "image: resize is 100000, 1 to 8192 is allowed"),
  ])
  func aSetupThatMakesNoSenseIsRefused(setup: String, message: String) throws {
    let error = #expect(throws: ModelError.self) { try ImageModel([3, 8, 8], setup: setup) }
    #expect(error?.code == .mismatch)
    #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
  }

  @Test func aModelWithoutImagesHasNoImageInput() throws {
    var writer = OnnxWriter(opset: 17)
    writer.input("x", .float, [nil, 4])
    writer.node("Softmax", ["x"], ["y"])
    writer.output("y", .float, [nil, 4])
    let setup = ModelSetup(image: ImageSetup(preset: .torchvision))
    let error = #expect(throws: ModelError.self) {
      try Model.load(writer.bytes(), options: ModelOptions(setup: setup))
    }
    #expect(error?.message == "image: no input of the model has four axes")
  }

  @Test func bytesForNumbersAreRefusedWithAHint() throws {
    var writer = OnnxWriter(opset: 17)
    writer.input("x", .float, [nil, 1])
    writer.node("Softmax", ["x"], ["y"])
    writer.output("y", .float, [nil, 1])
    let model = try Model.load(writer.bytes())
    let error = #expect(throws: ModelError.self) {
      try model.predict(
        Batch(rowCount: 1, columns: [Column(.bytes([[1]]))]), workspace: Workspace())
    }
    #expect(error?.message == "feature \"x\" is float, its column is bytes")
  }

  @Test func signaturesKeepWhatWasSaid() throws {
    let model = try ImageModel([3, 8, 8], setup: "{\"preset\": \"torchvision\"}").model
    let data = try JSONEncoder().encode(model.signature)
    #expect(try JSONDecoder().decode(Signature.self, from: data) == model.signature)
    #expect(
      model.signature.features[0].image?.description
        == "8 x 8 rgb, nchw, crop of 9, bilinear, (value / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)"
    )
  }
}

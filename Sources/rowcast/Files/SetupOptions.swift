public import ArgumentParser
public import Inference

/// What is said of a model beside its file: how images become its input, and what its output means.
struct SetupOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Images become the model's input: their width and height, or \"auto\" where its shape tells them.",
      valueName: "WxH"))
  var image: ImageSize?

  @Option(
    help: ArgumentHelp(
      """
      How the network's images were prepared: plain (0 to 1), torchvision, keras, tensorflow, clip, raw.
      """, valueName: "name"))
  var preset: ImageSetup.Preset?

  @Flag(help: "The network answers numbers before the softmax: give probabilities and the label.")
  var softmax = false

  @Flag(help: "The network finds objects: give boxes in pixels of the image, scores and labels.")
  var objects = false

  @Option(
    help: ArgumentHelp(
      "What differs from the preset, as JSON: {\"image\": {\"filter\": \"bicubic\"}}.",
      valueName: "json"))
  var setup: String?

  @Option(
    help: ArgumentHelp(
      "A text becomes the network's input, by this tokenizer.json.", valueName: "file"))
  var tokenizer: String?

  @Option(
    help: "One vector of one a token: mean, cls (the first) or max; none where the network has one."
  )
  var pooling: TextSetup.Pooling?

  @Flag(help: "Bring the vector to length 1.")
  var normalize = false

  @Option(help: ArgumentHelp("Tokens of a text at most.", valueName: "n"))
  var maxLength: Int?

  func resolved() throws -> ModelSetup {
    var result = try setup.map(ModelSetup.read(json:)) ?? ModelSetup()
    if image != nil || preset != nil {
      var own = result.image ?? ImageSetup()
      if let preset { own.preset = preset }
      if case .pixels(let width, let height)? = image { (own.width, own.height) = (width, height) }
      result.image = own
    }
    if softmax { result.softmax = true }
    if objects, result.objects == nil { result.objects = ObjectSetup() }
    if let tokenizer {
      let bytes = try ModelFile.bytes(path: tokenizer)
      var own = result.text ?? TextSetup(tokenizer: "")
      own.tokenizer = String(decoding: bytes, as: UTF8.self)
      result.text = own
    }
    if pooling != nil || normalize || maxLength != nil {
      guard result.text != nil else {
        throw ValidationError("--pooling, --normalize and --max-length need --tokenizer")
      }
      if let pooling { result.text?.pooling = pooling }
      if normalize { result.text?.normalize = true }
      if let maxLength { result.text?.maxLength = maxLength }
    }
    return result
  }
}

/// `224x224`, the width first, or `auto`.
enum ImageSize: ExpressibleByArgument {
  case auto
  case pixels(width: Int, height: Int)

  init?(argument: String) {
    if argument == "auto" {
      self = .auto
      return
    }
    let sides = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard sides.count == 2, let width = sides[0], let height = sides[1], width > 0, height > 0
    else {
      return nil
    }
    self = .pixels(width: width, height: height)
  }
}

extension ImageSetup.Preset: ExpressibleByArgument {}

extension Device: ExpressibleByArgument {}

extension TextSetup.Pooling: ExpressibleByArgument {}

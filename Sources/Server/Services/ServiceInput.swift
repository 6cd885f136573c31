internal import FoundationEssentials
internal import HTTPTypes
internal import Inference
internal import Scoring

/// What a service is asked: a text, or an image.
struct ServiceInput: Sendable {
  enum Content: Sendable {
    case text(String)
    case image([UInt8])
  }

  var content: Content
  /// How many answers are wanted; nil for as many as the service gives.
  var most: Int?

  /// Reads `{"input": "text"}`, `{"input": {"image": "<base64>"}}`, either of them once more as a string, or
  /// an image's own bytes.
  static func read(_ body: [UInt8], contentType: String?) throws(Problem) -> ServiceInput {
    let type = contentType?.prefix { $0 != ";" }.lowercased() ?? ""
    if type.hasPrefix("image/") || type == "application/octet-stream" {
      guard !body.isEmpty else { throw .badRequest("the body is empty") }
      return ServiceInput(content: .image(body))
    }
    do throws(ModelError) {
      var reader = JSONReader(body, limits: ModelLimits())
      if try reader.nextKind() == .string {
        let inner = try reader.string()
        try reader.end()
        reader = JSONReader(Array(inner.utf8), limits: ModelLimits())
      }
      var content: Content?
      var most: Int?
      try reader.object { reader, key throws(ModelError) in
        switch key {
        case "input": content = try readInput(&reader)
        case "top_k": most = try reader.wholeNumber()
        default: try reader.skip()
        }
      }
      try reader.end()
      if case .text = content, String(validating: body, as: UTF8.self) == nil {
        throw ModelError(.malformed, "it is not UTF-8")
      }
      guard let content else {
        throw ModelError(.mismatch, "the body has no \"input\"", hint: #"Send {"input": "…"}."#)
      }
      return ServiceInput(content: content, most: most)
    } catch {
      throw Problem(error)
    }
  }

  private static func readInput(_ reader: inout JSONReader) throws(ModelError) -> Content {
    guard try reader.nextKind() == .string else { return try readObject(&reader) }
    let text = try reader.string()
    // A question may begin with a brace; an object of the two members that are known is none.
    if text.utf8.first == UInt8(ascii: "{") {
      var inner = JSONReader(Array(text.utf8), limits: ModelLimits())
      if let content = try? readObject(&inner), (try? inner.end()) != nil { return content }
    }
    return .text(text)
  }

  private static func readObject(_ reader: inout JSONReader) throws(ModelError) -> Content {
    var content: Content?
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "image":
        let text = try reader.string()
        guard let bytes = BytesText.read(text.utf8), !bytes.isEmpty else {
          throw ModelError(.mismatch, "the image is not base64")
        }
        content = .image(bytes)
      case "text": content = .text(try reader.string())
      default: try reader.skip()
      }
    }
    guard let content else {
      throw ModelError(
        .mismatch, "the input has neither \"text\" nor \"image\"",
        hint: #"Send {"input": "…"} or {"input": {"image": "<base64>"}}."#)
    }
    return content
  }
}

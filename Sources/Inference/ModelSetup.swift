internal import Foundation

/// What a model's file does not say, and whoever registers it does.
///
/// This is also the JSON that the registry stores: `{"image": {"preset": "torchvision"}, "softmax": true}`.
public struct ModelSetup: Sendable, Codable, Equatable {
  /// How images become an input; nil where the model reads none.
  public var image: ImageSetup?
  /// Whether the only output of the network is a number a class before the softmax: probabilities are
  /// answered instead, and the most probable class as `label`.
  public var softmax: Bool?

  /// How a text becomes the inputs; nil where the model reads none.
  public var text: TextSetup?
  /// How the outputs are objects found in an image; nil where they are not.
  public var objects: ObjectSetup?

  public init(
    image: ImageSetup? = nil, text: TextSetup? = nil, softmax: Bool? = nil,
    objects: ObjectSetup? = nil
  ) {
    (self.image, self.text, self.softmax, self.objects) = (image, text, softmax, objects)
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case image, text, softmax, objects }

  public init(from decoder: any Decoder) throws {
    try AnyCodingKey.refuseOthers(than: CodingKeys.allCases.map(\.rawValue), in: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    image = try values.decodeIfPresent(ImageSetup.self, forKey: .image)
    text = try values.decodeIfPresent(TextSetup.self, forKey: .text)
    softmax = try values.decodeIfPresent(Bool.self, forKey: .softmax)
    objects = try values.decodeIfPresent(ObjectSetup.self, forKey: .objects)
  }

  /// True where nothing is said.
  public var isEmpty: Bool { self == ModelSetup() }
}

extension ModelSetup {
  /// Reads the JSON that the registry stores.
  ///
  /// - Throws: `.mismatch` that names the member at fault.
  public static func read(json: String) throws(ModelError) -> ModelSetup {
    do {
      return try JSONDecoder().decode(ModelSetup.self, from: Data(json.utf8))
    } catch let error as DecodingError {
      throw ModelError(.mismatch, "setup: \(error.clause)")
    } catch {
      throw ModelError(.mismatch, "setup is not read", detail: "\(error)")
    }
  }

  public var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    // Finite numbers, truths and names: encoding cannot fail.
    return String(decoding: (try? encoder.encode(self)) ?? Data("{}".utf8), as: UTF8.self)
  }
}

extension DecodingError {
  /// One clause that names the member and what is wrong with it.
  fileprivate var clause: String {
    func place(_ context: Context, _ last: String? = nil) -> String {
      let path = (context.codingPath.map(\.stringValue) + [last].compactMap { $0 })
        .joined(separator: ".")
      return path.isEmpty ? "it" : "\"\(path)\""
    }
    return switch self {
    case .typeMismatch(let type, let context): "\(place(context)) is no \(type)"
    case .valueNotFound(let type, let context): "\(place(context)) is null, a \(type) is wanted"
    case .keyNotFound(let key, let context): "\(place(context, key.stringValue)) is missing"
    case .dataCorrupted(let context):
      context.underlyingError == nil
        ? "\(place(context)): \(context.debugDescription)" : "it is not JSON"
    @unknown default: "it is not read"
    }
  }
}

/// A member of a JSON object, whatever its name.
struct AnyCodingKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }

  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }

  /// A name that is not known is a slip of the pen, and would be passed over in silence.
  static func refuseOthers(than known: [String], in decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: AnyCodingKey.self).allKeys.map(\.stringValue)
    if let odd = members.sorted().first(where: { !known.contains($0) }) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription:
            "\"\(odd)\" is not known; known are \(known.sorted().joined(separator: ", "))"))
    }
  }
}

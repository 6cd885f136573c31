/// How a text becomes the inputs of a network, and its answer a row's prediction.
///
/// This is also the JSON that the registry stores:
/// `{"tokenizer": "…", "max_length": 256, "pooling": "mean", "normalize": true}`.
public struct TextSetup: Sendable, Codable, Equatable {
  /// What becomes of a vector a token.
  public enum Pooling: String, Sendable, Codable, CaseIterable {
    /// The mean over the text's tokens, those of the template among them.
    case mean
    /// The first token's vector.
    case cls
    /// The greatest value of each element.
    case max
  }

  /// The text of `tokenizer.json`, as Hugging Face's `tokenizers` writes it.
  public var tokenizer: String
  /// Tokens at most, those of the template among them; nil for what the tokenizer says, or 512.
  public var maxLength: Int?
  /// Nil where the network answers a vector or a number a text.
  public var pooling: Pooling?
  /// Whether a vector is brought to length 1.
  public var normalize: Bool?
  /// The output that is meant, where the network has several.
  public var output: String?

  public init(
    tokenizer: String, maxLength: Int? = nil, pooling: Pooling? = nil, normalize: Bool? = nil,
    output: String? = nil
  ) {
    self.tokenizer = tokenizer
    self.maxLength = maxLength
    self.pooling = pooling
    self.normalize = normalize
    self.output = output
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case tokenizer, maxLength = "max_length", pooling, normalize, output
  }

  public init(from decoder: any Decoder) throws {
    try AnyCodingKey.refuseOthers(than: CodingKeys.allCases.map(\.rawValue), in: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    tokenizer = try values.decode(String.self, forKey: .tokenizer)
    maxLength = try values.decodeIfPresent(Int.self, forKey: .maxLength)
    pooling = try values.decodeIfPresent(Pooling.self, forKey: .pooling)
    normalize = try values.decodeIfPresent(Bool.self, forKey: .normalize)
    output = try values.decodeIfPresent(String.self, forKey: .output)
  }
}

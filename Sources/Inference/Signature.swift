/// The type of one value that a model reads or writes.
public enum ElementType: String, Sendable, Codable, Equatable {
  case float32, float64, int64, bool, string
  /// Encoded images; a feature's type alone.
  case bytes
}

/// What a model reads and what it writes, one named column each.
///
/// A tensor `[rows, k]` of a model of columns counts as `k` features or outputs. A network's inputs and
/// outputs are one each, with a shape; an input that is made of images is one, without. This is also the
/// JSON that the registry stores.
public struct Signature: Sendable, Codable, Equatable {
  /// What the model does where a value is missing (NULL, or NaN in a floating-point column).
  public enum Missing: String, Sendable, Codable {
    /// The model has a rule for it (a tree's default branch, an imputer).
    case allowed
    /// The row cannot be scored.
    case refused
  }

  public struct Feature: Sendable, Codable, Equatable {
    public var name: String
    public var type: ElementType
    public var missing: Missing
    /// False where no output depends on the feature: it need not be read. JSON has it only then.
    public var isUsed: Bool
    /// Sizes of each row's tensor, -1 where all rows of a batch may share any; nil for one value a row.
    /// JSON has it only for tensors.
    public var shape: [Int]?
    /// What becomes of an image; nil for other features.
    public var image: ImageInput?

    public init(
      name: String, type: ElementType, missing: Missing, isUsed: Bool = true, shape: [Int]? = nil,
      image: ImageInput? = nil
    ) {
      self.name = name
      self.type = type
      self.missing = missing
      self.isUsed = isUsed
      self.shape = shape
      self.image = image
    }

    private enum CodingKeys: String, CodingKey {
      case name, type, missing, isUsed = "used", shape, image
    }

    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = try values.decode(String.self, forKey: .name)
      type = try values.decode(ElementType.self, forKey: .type)
      missing = try values.decode(Missing.self, forKey: .missing)
      isUsed = try values.decodeIfPresent(Bool.self, forKey: .isUsed) ?? true
      shape = try values.decodeIfPresent([Int].self, forKey: .shape)
      image = try values.decodeIfPresent(ImageInput.self, forKey: .image)
    }

    public func encode(to encoder: any Encoder) throws {
      var values = encoder.container(keyedBy: CodingKeys.self)
      try values.encode(name, forKey: .name)
      try values.encode(type, forKey: .type)
      try values.encode(missing, forKey: .missing)
      if !isUsed { try values.encode(isUsed, forKey: .isUsed) }
      try values.encodeIfPresent(shape, forKey: .shape)
      try values.encodeIfPresent(image, forKey: .image)
    }
  }

  public enum Role: String, Sendable, Codable {
    /// The predicted class.
    case label
    /// The probability of one class.
    case probability
    /// A regression's output, or a rank.
    case score
    /// A signed distance or margin; one a class where there are several.
    case decision
    /// Anything else that the graph returns.
    case value
    /// The name of a feature that the row's prediction is owed to.
    case reason
    /// What a feature adds to the margin.
    case contribution
    /// For each object found in an image left, top, right and bottom, in pixels of the image.
    case box
    /// For each object how sure the network is.
    case boxScore = "box_score"
    /// For each object what it is.
    case boxLabel = "box_label"
  }

  public struct Output: Sendable, Codable, Equatable {
    /// A name fit for a column: `label`, `probability_setosa`, `score`.
    public var name: String
    public var type: ElementType
    public var role: Role
    /// The class that a probability or decision value belongs to.
    public var className: String?
    /// Sizes of each row's tensor, -1 where open; nil for one value a row. JSON has it only for tensors.
    public var shape: [Int]?

    public init(
      name: String, type: ElementType, role: Role, className: String? = nil, shape: [Int]? = nil
    ) {
      self.name = name
      self.type = type
      self.role = role
      self.className = className
      self.shape = shape
    }
  }

  public var features: [Feature]
  public var outputs: [Output]

  public init(features: [Feature], outputs: [Output]) {
    self.features = features
    self.outputs = outputs
  }
}

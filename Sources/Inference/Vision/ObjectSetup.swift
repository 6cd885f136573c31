/// How the outputs of a network that finds objects in an image are read: a box, a score and a label each.
///
/// Which output is what is told by names and sizes, see `ObjectOutputs`. What is left out here is as the defaults
/// say; `{}` does for networks that answer corners in pixels, a score and a label for each box.
public struct ObjectSetup: Sendable, Codable, Equatable {
  /// What the four numbers of a box are.
  public enum Corners: String, Sendable, Codable, CaseIterable {
    /// Left, top, right, bottom (torchvision).
    case xyxy
    /// Top, left, bottom, right (TensorFlow).
    case yxyx
    /// Left, top, width, height (COCO).
    case xywh
    /// Middle, width, height (YOLO).
    case cxcywh
  }

  public enum Unit: String, Sendable, Codable, CaseIterable {
    /// Of the network's input.
    case pixels
    /// The input's sides are 1.
    case share
  }

  public var boxes: Corners?
  public var unit: Unit?
  /// Objects of a lower score are left out.
  public var threshold: Float?
  /// Of two boxes of one label whose intersection is more than this share of their union, the one of the
  /// lower score is left out; 1 leaves out none.
  public var overlap: Float?
  /// Objects of an image at most, those of the highest scores.
  public var most: Int?
  /// Whether the first number behind a box is a score for any object, that the classes' scores are multiplied
  /// by (YOLO up to version 7).
  public var objectness: Bool?

  public init() {}

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case boxes, unit, threshold, overlap, most, objectness
  }

  public init(from decoder: any Decoder) throws {
    try AnyCodingKey.refuseOthers(than: CodingKeys.allCases.map(\.rawValue), in: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    boxes = try values.decodeIfPresent(Corners.self, forKey: .boxes)
    unit = try values.decodeIfPresent(Unit.self, forKey: .unit)
    threshold = try values.decodeIfPresent(Float.self, forKey: .threshold)
    overlap = try values.decodeIfPresent(Float.self, forKey: .overlap)
    most = try values.decodeIfPresent(Int.self, forKey: .most)
    objectness = try values.decodeIfPresent(Bool.self, forKey: .objectness)
  }

  /// More objects an image are not answered.
  public static let mostObjects = 1000
  static let usualMost = 100
  static let usualThreshold: Float = 0.25
  /// Where the network leaves it to us.
  static let usualOverlap: Float = 0.5

  func validate() throws(ModelError) {
    for (name, share) in [("threshold", threshold), ("overlap", overlap)] {
      guard let share, !(0...1).contains(share) else { continue }
      throw ModelError(.mismatch, "objects: \(name) is \(share), 0 to 1 is allowed")
    }
    if let most, !(1...Self.mostObjects).contains(most) {
      throw ModelError(.mismatch, "objects: most is \(most), 1 to \(Self.mostObjects) is allowed")
    }
  }
}

/// The words or numbers that categories had in the trainer's data frame (XGBoost 3.1 and later).
///
/// Trees know a category by its place in the list; a frame with the same words in another order is
/// read alike.
struct XGBoostCategories {
  private enum List {
    case none
    case words([String])
    case numbers([Int64])
  }

  private var lists: [List] = []

  init() {}

  init<Reader: DocumentReader>(_ reader: inout Reader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      guard key == "enc" else { return try reader.skip() }
      try reader.array { reader, feature throws(ModelError) in
        lists.append(try Self.list(&reader, feature: feature))
      }
    }
  }

  private static func list<Reader: DocumentReader>(
    _ reader: inout Reader, feature: Int
  ) throws(ModelError) -> List {
    var offsets: [Int]?
    var type: Int?
    var values: Reader?
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "offsets": offsets = try reader.integers(as: Int.self)
      case "type": type = try reader.integer()
      case "values":
        values = reader
        try reader.skip()
      default: try reader.skip()
      }
    }
    guard var values else {
      throw ModelError(.malformed, "the categories of feature \(feature) have no \"values\"")
    }
    if let offsets { return try words(offsets, &values, feature: feature) }
    // Numbers of XGBoost's own types of arrays; the last two are floats.
    guard let type, (9...16).contains(type) else {
      throw ModelError(
        .unsupported,
        "the categories of feature \(feature) are of type \(type.map(String.init) ?? "none"), which is not supported"
      )
    }
    return .numbers(try values.integers(as: Int64.self))
  }

  /// Words end to end, cut at `offsets`; no offsets at all where the feature is a number.
  private static func words<Reader: DocumentReader>(
    _ offsets: [Int], _ values: inout Reader, feature: Int
  ) throws(ModelError) -> List {
    // Bytes of UTF-8, written as signed or unsigned numbers.
    let bytes = try values.integers(as: Int16.self).map { UInt8(truncatingIfNeeded: $0) }
    guard let first = offsets.first else { return .none }
    guard first == 0, offsets[offsets.count - 1] == bytes.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
    else {
      throw ModelError(
        .malformed, "the categories of feature \(feature) do not divide \(bytes.count) bytes")
    }
    return .words(
      zip(offsets, offsets.dropFirst()).map {
        String(decoding: bytes[$0..<$1], as: UTF8.self)
      })
  }

  /// Makes the features with lists what their categories are, and says how to read them.
  ///
  /// - Returns: nil where no feature has a list.
  func encoders(
    _ features: inout [Signature.Feature]
  ) throws(ModelError) -> [CategoryEncoder?]? {
    guard !lists.isEmpty else { return nil }
    guard lists.count == features.count else {
      throw ModelError(
        .malformed, "categories of \(lists.count) features for \(features.count) features")
    }
    var encoders: [CategoryEncoder?] = []
    for (index, list) in lists.enumerated() {
      switch list {
      case .none: encoders.append(nil)
      case .words(let words):
        features[index].type = .string
        encoders.append(.words(try CategoryEncoder.places(words, feature: "\(index)"), .refused))
      case .numbers(let numbers):
        features[index].type = .int64
        encoders.append(
          .numbers(try CategoryEncoder.places(numbers, feature: "\(index)"), .refused))
      }
    }
    return encoders.contains { $0 != nil } ? encoders : nil
  }
}

/// The categories of a data frame that a model was trained from in Python: its last line
/// `pandas_categorical:`, a list for each column of categories.
///
/// LightGBM's Python replaces a category by its place in the list, and one that is not in the list by
/// a missing value. The file does not say which features the lists are of: those are found by the
/// features that are categorical, and by the ranges of the others, since an ordered category is a
/// number to the trees.
struct LightGBMCategories {
  private enum List {
    case words([String])
    case numbers([Int64])
    case reals([Double])
    case bools([Bool])

    var count: Int {
      switch self {
      case .words(let list): list.count
      case .numbers(let list): list.count
      case .reals(let list): list.count
      case .bools(let list): list.count
      }
    }
  }

  private var lists: [List] = []
  /// Numbers of the features that training took as categories, where the file has its parameters.
  private var declared: [Int]?

  /// Reads what follows the trees.
  init(_ text: inout LightGBMText, limits: ModelLimits) throws(ModelError) {
    while let line = text.nextLine() {
      if let value = text.value(of: line, after: "[categorical_feature:") {
        let numbers = text.string(value).dropLast().split(separator: ",")
          .map { Int($0.filter { $0 != " " }) }
        declared = numbers.contains(nil) ? nil : numbers.compactMap { $0 }
      } else if let value = text.value(of: line, after: "pandas_categorical:") {
        do throws(ModelError) {
          lists = try Self.lists(JSONReader(Array(text.bytes[value]), limits: limits))
        } catch {
          throw ModelError(
            error.code, "pandas_categorical: \(error.message) (line \(text.line))",
            hint: error.hint)
        }
      }
    }
  }

  private static func lists(_ document: JSONReader) throws(ModelError) -> [List] {
    var reader = document
    guard try reader.nextKind() == .array else {
      let word = try reader.number()
      guard word == "null" else { throw ModelError(.malformed, "\"\(word)\" is no list") }
      return []
    }
    var lists: [List] = []
    try reader.array { reader, index throws(ModelError) in
      var (words, written): ([String], [String]) = ([], [])
      try reader.array { reader, _ throws(ModelError) in
        if try reader.nextKind() == .string {
          words.append(try reader.string())
        } else {
          written.append(try reader.number())
        }
      }
      lists.append(try list(words: words, written: written, index: index))
    }
    try reader.end()
    return lists
  }

  private static func list(
    words: [String], written: [String], index: Int
  ) throws(ModelError) -> List {
    if written.isEmpty { return .words(words) }
    if words.isEmpty {
      let bools = written.compactMap { $0 == "true" ? true : $0 == "false" ? false : nil }
      if bools.count == written.count { return .bools(bools) }
      let numbers = written.compactMap { Int64($0) }
      if numbers.count == written.count { return .numbers(numbers) }
      let reals = written.compactMap { Double($0) }
      if reals.count == written.count { return .reals(reals) }
    }
    throw ModelError(
      .unsupported, "the categories of list \(index) are of several kinds",
      hint: "Make them all text, or all numbers, before training.")
  }
}

// MARK: Which features the lists are of

extension LightGBMCategories {
  /// What `feature_infos` says of a feature's values.
  private enum Extent {
    case none
    case range(Double, Double)
    /// The largest of its categories.
    case categories(most: Int)

    init(_ text: String) {
      if text.hasPrefix("["), text.hasSuffix("]") {
        let ends = text.dropFirst().dropLast().split(separator: ":").map { Double($0) }
        if ends.count == 2, let low = ends[0], let high = ends[1] {
          self = .range(low, high)
          return
        }
      }
      let codes = text.split(separator: ":").map { Int($0) }
      self =
        text == "none" || codes.contains(nil)
        ? .none : .categories(most: codes.compactMap { $0 }.max() ?? -1)
    }

    /// Whether the values can be places in a list.
    func fits(_ list: List) -> Bool {
      switch self {
      case .none: true
      case .range(let low, let high):
        low >= 0 && high < Double(list.count) && low == low.rounded() && high == high.rounded()
      case .categories(let most): most < list.count
      }
    }
  }

  /// Makes the features with lists what their categories are, and says how to read them.
  ///
  /// - Returns: nil where no feature has a list.
  /// - Throws: `.unsupported` where it cannot be told which features the lists are of.
  func encoders(
    _ features: inout [Signature.Feature], infos: [String]?
  ) throws(ModelError) -> [CategoryEncoder?]? {
    guard !lists.isEmpty else { return nil }
    guard let places = try places(among: features.count, infos: infos) else {
      throw ModelError(
        .unsupported,
        "\(lists.count) columns of the training frame were categories, and the file leaves open which",
        hint: "Train on the frame with its ordered categories replaced by their codes (.cat.codes)."
      )
    }
    var encoders: [CategoryEncoder?] = Array(repeating: nil, count: features.count)
    for (list, place) in zip(lists, places) {
      let name = "\"\(features[place].name)\""
      switch list {
      case .words(let words):
        features[place].type = .string
        encoders[place] = .words(try CategoryEncoder.places(words, feature: name), .missing)
      case .numbers(let numbers):
        features[place].type = .int64
        encoders[place] = .numbers(try CategoryEncoder.places(numbers, feature: name), .missing)
      case .reals(let reals):
        features[place].type = .float64
        encoders[place] = .reals(try CategoryEncoder.places(reals, feature: name), .missing)
      case .bools(let bools):
        features[place].type = .bool
        encoders[place] = .numbers(
          try CategoryEncoder.places(bools.map { $0 ? 1 : 0 }, feature: name), .missing)
      }
    }
    return encoders
  }

  /// The features of the lists, in order; nil where there is not exactly one way to have it.
  private func places(among count: Int, infos: [String]?) throws(ModelError) -> [Int]? {
    let extents =
      infos.flatMap { $0.count == count ? $0.map(Extent.init) : nil }
      ?? Array(repeating: .none, count: count)
    let categorical =
      declared?.sorted().filter { (0..<count).contains($0) }
      ?? extents.indices.filter { if case .categories = extents[$0] { true } else { false } }
    if categorical.count == lists.count,
      zip(categorical, lists).allSatisfy({ extents[$0].fits($1) })
    {
      return categorical
    }
    guard count.multipliedReportingOverflow(by: lists.count).partialValue <= 1 << 22 else {
      throw ModelError(.tooLarge, "pandas_categorical has \(lists.count) lists")
    }
    // Ordered categories are not among the categorical features; a column of numbers that was named
    // as categorical has no list.
    let needed = Set(categorical.count < lists.count ? categorical : [])
    // ways[k]: how often the features so far can have the first k lists, where 2 means more than once.
    var ways = [1] + Array(repeating: 0, count: lists.count)
    var choices: [[Int]] = []
    for feature in 0..<count {
      var next = needed.contains(feature) ? Array(repeating: 0, count: ways.count) : ways
      for k in lists.indices where ways[k] > 0 && extents[feature].fits(lists[k]) {
        next[k + 1] = min(next[k + 1] + ways[k], 2)
      }
      choices.append(ways)
      ways = next
    }
    guard ways[lists.count] == 1 else { return nil }
    var places: [Int] = []
    var left = lists.count
    for feature in (0..<count).reversed() where left > 0 {
      // There is one way, so that a feature which can have the list does have it.
      guard choices[feature][left - 1] > 0, extents[feature].fits(lists[left - 1]) else { continue }
      places.append(feature)
      left -= 1
    }
    return left == 0 ? places.reversed() : nil
  }
}

extension LightGBMText {
  /// The rest of a line that starts with a prefix.
  fileprivate func value(of line: Range<Int>, after prefix: String) -> Range<Int>? {
    starts(line, with: prefix) ? (line.lowerBound + prefix.utf8.count)..<line.upperBound : nil
  }
}

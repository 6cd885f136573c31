/// What a CatBoost model in JSON says, as far as scoring needs it.
struct CatBoostDocument {
  struct Feature {
    var name = ""
    /// Its place among all features.
    var flatIndex = 0
    /// Of a number: whether NaN is below or above every border.
    var missingIsLow = true
  }

  struct Split {
    enum Test {
      /// Above the border goes right.
      case border(Float)
      /// The category itself goes right.
      case category(Int32)
    }
    /// Among the features of its kind.
    var feature = 0
    var test: Test
  }

  /// A tree whose levels ask the same question of every row.
  struct ObliviousTree {
    /// The question of level i gives bit i of the leaf's number.
    var splits: [Split] = []
    /// Leaf by leaf, a value for each output.
    var leafValues: [Double] = []
  }

  /// A node of any other tree; children are its numbers among the tree's nodes.
  enum Node {
    case split(Split, left: Int, right: Int)
    case leaf([Double])
  }

  var floatFeatures: [Feature] = []
  var categoricalFeatures: [Feature] = []
  var obliviousTrees: [ObliviousTree] = []
  var trees: [[Node]] = []
  var scale = 1.0
  var biases: [Double] = []
  /// nil where the file does not say, as after training with a loss of the user's own.
  var loss: String?
  var classes: ForestOutputs.Classes?
  /// What wrote the file.
  var version: String?

  init(_ reader: inout JSONReader, limits: ModelLimits) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "features_info": try readFeatures(&reader)
      case "model_info": try readInformation(&reader, limits: limits)
      case "oblivious_trees":
        obliviousTrees += try reader.concurrentArray { reader, number throws(ModelError) in
          try Self.oblivious(&reader, number: number)
        }
      case "trees":
        trees += try reader.concurrentArray { reader, number throws(ModelError) in
          var nodes: [Node] = []
          _ = try Self.node(&reader, tree: number, into: &nodes)
          return nodes
        }
      case "scale_and_bias":
        try reader.array { reader, index throws(ModelError) in
          switch index {
          case 0: scale = try reader.double()
          // A single number in files of the first releases.
          case 1: biases = try reader.nextKind() == .array ? reader.doubles() : [reader.double()]
          default: try reader.skip()
          }
        }
      default: try reader.skip()
      }
    }
  }

  // MARK: Features

  private mutating func readFeatures(_ reader: inout JSONReader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "float_features":
        try reader.array { reader, index throws(ModelError) in
          floatFeatures.append(try Self.feature(&reader, index, "float feature"))
        }
      case "categorical_features":
        try reader.array { reader, index throws(ModelError) in
          categoricalFeatures.append(try Self.feature(&reader, index, "categorical feature"))
        }
      case "text_features", "embedding_features":
        try reader.array { reader, _ throws(ModelError) in
          throw ModelError(
            .unsupported,
            "\(key.replacing("_", with: " ")) are not supported (byte \(reader.offset))")
        }
      default: try reader.skip()
      }
    }
  }

  private static func feature(
    _ reader: inout JSONReader, _ index: Int, _ kind: String
  ) throws(ModelError) -> Feature {
    var feature = Feature()
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "feature_id", "feature_name":
        let name = try reader.string()
        if !name.isEmpty { feature.name = name }
      case "feature_index":
        let found = try reader.integer()
        guard found == index else {
          throw ModelError(.malformed, "\(kind) \(found) where \(index) is due")
        }
      case "flat_feature_index": feature.flatIndex = try reader.integer()
      case "nan_value_treatment":
        let rule = try reader.string()
        // AsIs compares NaN, which is above no border.
        guard ["AsIs", "AsFalse", "AsTrue"].contains(rule) else {
          throw ModelError(
            .unsupported,
            "nan_value_treatment \"\(rule.prefix(40))\" of \(kind) \(index) is not supported")
        }
        feature.missingIsLow = rule != "AsTrue"
      default: try reader.skip()
      }
    }
    return feature
  }

  // MARK: What was trained

  private mutating func readInformation(
    _ reader: inout JSONReader, limits: ModelLimits
  ) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "class_params": classes = try Self.embedded(&reader, limits, Self.classes) ?? nil
      case "params": loss = try Self.embedded(&reader, limits, Self.loss) ?? nil
      case "catboost_version_info": version = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// An object, or one written as a string as the first releases did.
  private static func embedded<Value>(
    _ reader: inout JSONReader, _ limits: ModelLimits,
    _ read: (inout JSONReader) throws(ModelError) -> Value
  ) throws(ModelError) -> Value? {
    guard try reader.nextKind() == .string else { return try read(&reader) }
    let text = try reader.string()
    guard !text.isEmpty else { return nil }
    var inner = JSONReader(Array(text.utf8), limits: limits)
    return try read(&inner)
  }

  private static func loss(_ reader: inout JSONReader) throws(ModelError) -> String? {
    var loss: String?
    try reader.object { reader, key throws(ModelError) in
      guard key == "loss_function" else { return try reader.skip() }
      try reader.object { reader, key throws(ModelError) in
        if key == "type" { loss = try reader.string() } else { try reader.skip() }
      }
    }
    return loss
  }

  private static func classes(
    _ reader: inout JSONReader
  ) throws(ModelError) -> ForestOutputs.Classes? {
    var words: [String] = []
    var numbers: [Int64]?
    try reader.object { reader, key throws(ModelError) in
      guard key == "class_names" else { return try reader.skip() }
      try reader.array { reader, index throws(ModelError) in
        if try reader.nextKind() == .string {
          words.append(try reader.string())
          return
        }
        // Numbers are labels as they are where they are whole, else words.
        let place = reader
        do throws(ModelError) {
          let number = Int64(try reader.integer())
          if index == 0 { numbers = [] }
          numbers?.append(number)
          words.append(String(number))
        } catch {
          reader = place
          words.append(try reader.number())
        }
      }
    }
    guard !words.isEmpty else { return nil }
    if let numbers, numbers.count == words.count { return .numbers(numbers) }
    return .words(words)
  }

  // MARK: Trees

  private static func oblivious(
    _ reader: inout JSONReader, number: Int
  ) throws(ModelError) -> ObliviousTree {
    var tree = ObliviousTree()
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "splits":
        // null where a tree has none.
        guard try reader.nextKind() == .array else { return try reader.skip() }
        try reader.array { reader, level throws(ModelError) in
          tree.splits.append(try Self.split(&reader, place: "tree \(number), level \(level)"))
        }
      case "leaf_values": tree.leafValues = try reader.doubles()
      default: try reader.skip()
      }
    }
    return tree
  }

  private static func split(
    _ reader: inout JSONReader, place: String
  ) throws(ModelError) -> Split {
    var type = ""
    var floatIndex: Int?
    var categoryIndex: Int?
    var border: Float?
    var category: Int?
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "split_type": type = try reader.string()
      case "float_feature_index": floatIndex = try reader.integer()
      case "cat_feature_index": categoryIndex = try reader.integer()
      case "border": border = try reader.float()
      case "value": category = try reader.integer()
      default: try reader.skip()
      }
    }
    switch type {
    case "FloatFeature":
      guard let floatIndex, let border, !border.isNaN else {
        throw ModelError(.malformed, "\(place): the split has no feature or no border")
      }
      return Split(feature: floatIndex, test: .border(border))
    case "OneHotFeature":
      guard let categoryIndex, let category, let hash = Int32(exactly: category) else {
        throw ModelError(.malformed, "\(place): the split has no feature or no category")
      }
      return Split(feature: categoryIndex, test: .category(hash))
    case "OnlineCtr":
      throw ModelError(
        .unsupported,
        "\(place): the split is by a statistic of categories (OnlineCtr), which is not supported",
        hint: "Train with one_hot_max_size above the number of each feature's categories.")
    default:
      throw ModelError(.unsupported, "\(place): split type \"\(type.prefix(40))\" is not supported")
    }
  }

  /// Appends a node before its children, and returns its number.
  private static func node(
    _ reader: inout JSONReader, tree: Int, into nodes: inout [Node]
  ) throws(ModelError) -> Int {
    let number = nodes.count
    nodes.append(.leaf([]))
    var question: Split?
    var left: Int?
    var right: Int?
    var values: [Double]?
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "split": question = try Self.split(&reader, place: "tree \(tree), node \(number)")
      case "left": left = try Self.node(&reader, tree: tree, into: &nodes)
      case "right": right = try Self.node(&reader, tree: tree, into: &nodes)
      case "value":
        values = try reader.nextKind() == .array ? reader.doubles() : [reader.double()]
      default: try reader.skip()
      }
    }
    if let question, let left, let right {
      nodes[number] = .split(question, left: left, right: right)
    } else if let values, question == nil {
      nodes[number] = .leaf(values)
    } else {
      throw ModelError(
        .malformed, "tree \(tree), node \(number): neither a value nor a split with two children")
    }
    return number
  }
}

/// What a JSON model says, as far as scoring needs it.
struct XGBoostDocument {
  var booster = ""
  var objective = ""
  var baseScores: [Float] = []
  var classCount = 0
  var targetCount = 1
  var featureCount = 0
  var featureNames: [String] = []
  var trees: [XGBoostTree] = []
  var treeCount: Int?
  /// The output that each tree adds to.
  var treeGroups: [Int] = []
  /// What dart multiplies each tree's leaves by.
  var treeWeights: [Float] = []

  init(_ reader: inout JSONReader) throws(ModelError) {
    var found = false
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "learner":
        found = true
        try readLearner(&reader)
      case "version":
        let version = try reader.integers()
        guard let major = version.first, (1...3).contains(major) else {
          throw ModelError(
            .unsupported,
            "version \(version.prefix(3).map(String.init).joined(separator: ".")) of XGBoost's format is not supported"
          )
        }
      default: try reader.skip()
      }
    }
    guard found else {
      throw ModelError(.malformed, "an XGBoost model has a member \"learner\", this has none")
    }
    guard !booster.isEmpty, !objective.isEmpty, !baseScores.isEmpty else {
      throw ModelError(
        .malformed, "the learner lacks \"gradient_booster\", \"objective\" or \"base_score\"")
    }
  }

  /// Names from the file, or f0, f1, … as XGBoost calls them where none were given.
  func features() throws(ModelError) -> [Signature.Feature] {
    let names =
      featureNames.isEmpty ? (0..<featureCount).map { "f\($0)" } : featureNames
    guard names.count == featureCount else {
      throw ModelError(.malformed, "\(names.count) feature names for \(featureCount) features")
    }
    return names.map { Signature.Feature(name: $0, type: .float32, missing: .allowed) }
  }

  private mutating func readLearner(_ reader: inout JSONReader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "feature_names": featureNames = try reader.strings()
      case "gradient_booster": try readBooster(&reader)
      case "learner_model_param": try readParameters(&reader)
      case "objective":
        try reader.object { reader, key throws(ModelError) in
          if key == "name" { objective = try reader.string() } else { try reader.skip() }
        }
      default: try reader.skip()
      }
    }
  }

  private mutating func readParameters(_ reader: inout JSONReader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "base_score": baseScores = try Self.baseScores(try reader.string())
      case "num_class": classCount = try Self.integer(try reader.string(), key)
      case "num_target": targetCount = try Self.integer(try reader.string(), key)
      case "num_feature": featureCount = try Self.integer(try reader.string(), key)
      default: try reader.skip()
      }
    }
  }

  private mutating func readBooster(_ reader: inout JSONReader) throws(ModelError) {
    var name = ""
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "name":
        name = try reader.string()
        guard name == "gbtree" || name == "dart" else {
          throw ModelError(.unsupported, "booster \"\(name.prefix(40))\" is not supported")
        }
      case "model":
        // gblinear keeps its weights under the same key; its name comes after them.
        try readModel(&reader)
      // dart wraps a whole gbtree.
      case "gbtree":
        try reader.object { reader, key throws(ModelError) in
          if key == "model" { try readModel(&reader) } else { try reader.skip() }
        }
      case "weight_drop": treeWeights = try reader.floats()
      default: try reader.skip()
      }
    }
    booster = name
  }

  private mutating func readModel(_ reader: inout JSONReader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "gbtree_model_param":
        try reader.object { reader, key throws(ModelError) in
          if key == "num_trees" {
            treeCount = try Self.integer(try reader.string(), key)
          } else {
            try reader.skip()
          }
        }
      case "tree_info": treeGroups = try reader.integers()
      case "trees":
        try reader.array { reader, number throws(ModelError) in
          trees.append(try XGBoostTree(&reader, number: number))
        }
      default: try reader.skip()
      }
    }
  }

  /// Parameters are numbers within strings.
  static func integer(_ text: String, _ key: String) throws(ModelError) -> Int {
    var text = text
    guard
      let value = text.withUTF8({
        NumberText.integer(UnsafeRawBufferPointer($0), as: Int32.self)
      }), value >= 0
    else {
      throw ModelError(.malformed, "\(key) \"\(text.prefix(40))\" is not a count")
    }
    return Int(value)
  }

  /// "5E-1" up to XGBoost 3.0, then "[5E-1]", a number for each output.
  static func baseScores(_ text: String) throws(ModelError) -> [Float] {
    var list = text[...]
    if list.hasPrefix("["), list.hasSuffix("]") { list = list.dropFirst().dropLast() }
    return try list.split(separator: ",", omittingEmptySubsequences: false).map {
      word throws(ModelError) in
      var word = word
      while word.first == " " { word.removeFirst() }
      guard let value = word.withUTF8({ NumberText.float(UnsafeRawBufferPointer($0)) }),
        value.isFinite
      else {
        throw ModelError(.malformed, "base_score \"\(text.prefix(40))\" is not a number")
      }
      return value
    }
  }
}

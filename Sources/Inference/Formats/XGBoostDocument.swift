/// What an XGBoost model says, as far as scoring needs it, in JSON or UBJSON.
struct XGBoostDocument {
  /// Of the library that wrote it: major, minor, patch.
  var version: [Int] = []
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
  var treeGroups: [Int32] = []
  /// What dart multiplies each tree's leaves by.
  var treeWeights: [Float] = []
  /// Trees of one boosting round and output.
  var parallelTrees = 1
  /// Where each boosting round's trees start, and the end; empty before XGBoost 2.
  var roundStarts: [Int] = []
  /// What gblinear multiplies features by, feature by feature, its biases last.
  var weights: [Float] = []
  var categories = XGBoostCategories()
  /// The round that early stopping liked best.
  var bestRound: Int?
  /// Whether scikit-learn's interface wrote the file.
  var isEstimator = false

  init<Reader: DocumentReader>(_ reader: inout Reader) throws(ModelError) {
    var found = false
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "learner":
        found = true
        try readLearner(&reader)
      case "version":
        version = try reader.integers(as: Int.self)
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

  private mutating func readLearner<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "attributes": try readAttributes(&reader)
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

  private mutating func readAttributes<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "best_iteration": bestRound = try Self.integer(try reader.string(), key)
      case "scikit_learn":
        isEstimator = true
        try reader.skip()
      default: try reader.skip()
      }
    }
  }

  private mutating func readParameters<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) {
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

  private mutating func readBooster<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) {
    var name = ""
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "name":
        name = try reader.string()
        guard ["gbtree", "dart", "gblinear"].contains(name) else {
          throw ModelError(.unsupported, "booster \"\(name.prefix(40))\" is not supported")
        }
      case "model": try readModel(&reader)
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

  private mutating func readModel<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "gbtree_model_param":
        try reader.object { reader, key throws(ModelError) in
          switch key {
          case "num_trees": treeCount = try Self.integer(try reader.string(), key)
          case "num_parallel_tree": parallelTrees = try Self.integer(try reader.string(), key)
          default: try reader.skip()
          }
        }
      case "cats": categories = try XGBoostCategories(&reader)
      case "iteration_indptr": roundStarts = try reader.integers(as: Int.self)
      case "tree_info": treeGroups = try reader.integers(as: Int32.self)
      case "trees":
        trees += try reader.concurrentArray { reader, number throws(ModelError) in
          try XGBoostTree(&reader, number: number)
        }
      case "weights": weights = try reader.floats()
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

// MARK: - What the parts say together

extension XGBoostDocument {
  var outputCount: Int { max(classCount, targetCount, 1) }

  /// The release that wrote the file, as "3.2.0"; nil where the file does not say.
  var producer: String? {
    version.isEmpty ? nil : version.map(String.init).joined(separator: ".")
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

  /// What each tree's leaves are multiplied by; nil where that is one.
  func treeFactors() throws(ModelError) -> [Float]? {
    guard booster == "dart" else { return nil }
    guard treeWeights.count == trees.count else {
      throw ModelError(
        .malformed,
        "\(treeWeights.count) entries of \"weight_drop\" for \(trees.count) trees")
    }
    return treeWeights
  }

  /// The base score is written on the scale of outputs; sums start from its margin.
  func baseMargins(_ objective: XGBoostObjective) throws(ModelError) -> [Float] {
    let scores =
      baseScores.count == 1 && outputCount > 1
      ? Array(repeating: baseScores[0], count: outputCount) : baseScores
    guard scores.count == outputCount else {
      throw ModelError(.malformed, "\(scores.count) base scores for \(outputCount) outputs")
    }
    let margins = objective.margins(ofBase: scores)
    guard margins.allSatisfy(\.isFinite) else {
      throw ModelError(
        .malformed, "base score \(scores) is out of range for objective \"\(self.objective)\"")
    }
    return margins
  }

  /// The trees of the boosting rounds that count.
  ///
  /// Where nobody says which, all of them count, as in `Booster.predict`; in a file that
  /// scikit-learn's interface wrote after early stopping, those up to the best round, as in
  /// `XGBModel.predict`.
  func countedTrees(_ wanted: Range<Int>?) throws(ModelError) -> Range<Int> {
    guard treeGroups.count == trees.count else {
      throw ModelError(
        .malformed, "\(treeGroups.count) entries of \"tree_info\" for \(trees.count) trees")
    }
    if let treeCount, treeCount != trees.count {
      throw ModelError(
        .malformed, "\(trees.count) trees where \"num_trees\" is \(treeCount)")
    }
    let starts = try checkedRoundStarts()
    let roundCount = starts.count - 1
    var rounds = 0..<roundCount
    if let wanted {
      guard wanted.lowerBound >= 0, wanted.upperBound <= roundCount else {
        throw ModelError(
          .mismatch,
          "iterations up to \(wanted.upperBound) are wanted, the model has \(roundCount)")
      }
      rounds = wanted
    } else if isEstimator, let bestRound {
      guard bestRound < roundCount else {
        throw ModelError(.malformed, "best_iteration is \(bestRound) of \(roundCount)")
      }
      rounds = 0..<(bestRound + 1)
    }
    return starts[rounds.lowerBound]..<starts[rounds.upperBound]
  }

  private func checkedRoundStarts() throws(ModelError) -> [Int] {
    if !roundStarts.isEmpty {
      guard roundStarts.first == 0, roundStarts.last == trees.count,
        zip(roundStarts, roundStarts.dropFirst()).allSatisfy({ $0 <= $1 })
      else {
        throw ModelError(
          .malformed, "\"iteration_indptr\" does not divide \(trees.count) trees into rounds")
      }
      return roundStarts
    }
    let outputTrees = trees.contains(where: \.hasVectors) ? 1 : outputCount
    let (perRound, overflow) = outputTrees.multipliedReportingOverflow(by: max(parallelTrees, 1))
    guard !overflow, trees.count.isMultiple(of: perRound) else {
      throw ModelError(
        .malformed, "\(trees.count) trees do not divide by \(perRound) an iteration")
    }
    return Array(stride(from: 0, through: trees.count, by: perRound))
  }
}

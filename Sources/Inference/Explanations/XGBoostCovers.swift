/// The sums of second derivatives that XGBoost keeps of the training rows at each node, tree by
/// tree: what its contributions weigh nodes by.
///
/// Read by a pass of its own over the document, so that loading a model for its scores keeps
/// nothing of it.
struct XGBoostCovers {
  private(set) var trees: [[Double]] = []

  init(_ bytes: [UInt8], limits: ModelLimits) throws(ModelError) {
    if ModelFormat.isUBJSON(bytes) {
      var reader = UBJSONReader(bytes, limits: limits)
      try read(&reader)
    } else {
      var reader = JSONReader(bytes, limits: limits)
      try read(&reader)
    }
  }

  /// The booster's trees are in `learner.gradient_booster.model`, those of dart one level deeper.
  private mutating func read<Reader: DocumentReader>(_ reader: inout Reader) throws(ModelError) {
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "learner", "gradient_booster", "gbtree", "model": try read(&reader)
      case "trees":
        trees += try reader.concurrentArray { reader, _ throws(ModelError) in
          try Self.covers(&reader)
        }
      default: try reader.skip()
      }
    }
  }

  private static func covers<Reader: DocumentReader>(
    _ reader: inout Reader
  ) throws(ModelError) -> [Double] {
    var covers: [Double] = []
    try reader.object { reader, key throws(ModelError) in
      if key == "sum_hessian" {
        covers = try reader.floats().map { Double($0) }
      } else {
        try reader.skip()
      }
    }
    return covers
  }
}

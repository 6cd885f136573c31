/// What a loaded model is made of, for people who look at it.
public struct ModelStructure: Sendable, Codable, Equatable {
  /// Trees that are scored together.
  public struct Trees: Sendable, Codable, Equatable {
    public var count: Int
    public var leaves: Int
    /// Splits from the root to the nearest and to the farthest leaf of any tree.
    public var leastDepth: Int
    public var mostDepth: Int
    /// Splits that ask for a set of categories.
    public var categoricalSplits: Int
  }

  /// Steps that a batch runs through; what could be computed at load is none.
  public var stepCount: Int
  /// Rows that are run at once, where the model is a graph.
  public var blockRows: Int?
  public var trees: [Trees]
  /// Features whose values can make no difference.
  public var unusedFeatures: [String]
}

extension Model {
  /// What the model is made of.
  public var structure: ModelStructure {
    var structure = ModelStructure(stepCount: 0, trees: [], unusedFeatures: [])
    structure.unusedFeatures = signature.features.filter { !$0.isUsed }.map(\.name)
    (predictor as? any Inspectable)?.describe(in: &structure)
    return structure
  }
}

/// A part of a model that can say what it is made of.
protocol Inspectable {
  func describe(in structure: inout ModelStructure)
}

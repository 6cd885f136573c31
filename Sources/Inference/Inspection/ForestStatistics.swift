/// How large a forest is, as people ask of it.
package struct ForestStatistics: Sendable, Equatable {
  package let treeCount: Int
  package let leafCount: Int
  package let minDepth: Int
  package let maxDepth: Int
  package let categoricalSplitCount: Int

  package init(_ forest: Forest) {
    treeCount = forest.trees.count
    leafCount = forest.features.count { $0 < 0 }
    minDepth = forest.trees.map(\.minDepth).min() ?? 0
    maxDepth = forest.trees.map(\.maxDepth).max() ?? 0
    var categorical = 0
    for (feature, test) in zip(forest.features, forest.tests) where feature >= 0 {
      if case .among = test { categorical += 1 }
    }
    categoricalSplitCount = categorical
  }
}

extension ForestPredictor: Inspectable {
  private var plan: ForestPlan {
    switch self {
    case .float(let scoring): scoring.plan
    case .double(let scoring): scoring.plan
    }
  }

  func describe(in structure: inout ModelStructure) { plan.describe(in: &structure) }
}

extension ForestPlan: Inspectable {
  func describe(in structure: inout ModelStructure) {
    structure.trees.append(
      ModelStructure.Trees(
        count: statistics.treeCount, leaves: statistics.leafCount,
        leastDepth: statistics.minDepth, mostDepth: statistics.maxDepth,
        categoricalSplits: statistics.categoricalSplitCount))
  }
}

extension GraphPredictor: Inspectable {
  func describe(in structure: inout ModelStructure) {
    structure.stepCount = plan.graph.steps.count
    structure.blockRows = plan.blockRows
    for step in plan.graph.steps {
      if let operation = step.operation as? any Inspectable { operation.describe(in: &structure) }
    }
  }
}

extension TreeEnsemble: Inspectable {
  func describe(in structure: inout ModelStructure) { plan.describe(in: &structure) }
}

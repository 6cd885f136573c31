extension ForestPredictor: Inspectable {
  private var plan: ForestPlan {
    switch self {
    case .float(let scoring): scoring.plan
    case .double(let scoring): scoring.plan
    }
  }

  func describe(in structure: inout ModelStructure) { plan.describe(in: &structure) }

  func readFeatures(of count: Int) -> [Bool] { plan.readFeatures(of: count) }
}

extension ForestPlan: Inspectable {
  func describe(in structure: inout ModelStructure) {
    structure.trees.append(
      ModelStructure.Trees(
        count: statistics.treeCount, leaves: statistics.leafCount,
        leastDepth: statistics.minDepth, mostDepth: statistics.maxDepth,
        categoricalSplits: statistics.categoricalSplitCount))
  }

  func readFeatures(of count: Int) -> [Bool] {
    var isRead = Array(repeating: false, count: count)
    for feature in features { isRead[feature] = true }
    return isRead
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

  func readFeatures(of count: Int) -> [Bool] {
    let isRead = plan.graph.readElements()
    return features.map { isRead[$0.input][$0.element] }
  }
}

extension TreeEnsemble: Inspectable {
  func describe(in structure: inout ModelStructure) { plan.describe(in: &structure) }
}

extension Graph {
  /// For each input, which of a row's elements can make a difference: those that on some way to an
  /// output meet no operator that passes them over.
  func readElements() -> [[Bool]] {
    var masks: [[Bool]?] = Array(repeating: nil, count: values.count)
    func widen(_ value: Int, by mask: [Bool]) {
      masks[value] = masks[value].map { zip($0, mask).map { $0 || $1 } } ?? mask
    }
    func whole(_ value: Int) -> [Bool] {
      Array(repeating: true, count: values[value].shape.elementCount)
    }
    for output in outputs { widen(output.value, by: whole(output.value)) }
    for step in steps.reversed() where step.outputs.contains(where: { masks[$0] != nil }) {
      for (index, input) in step.inputs.enumerated() {
        guard let input, values[input].constant == nil else { continue }
        if step.operation.isView, index == 0 {
          widen(input, by: masks[step.outputs[0]] ?? whole(input))
        } else if let operation = step.operation as? any ReadsColumns {
          widen(
            input,
            by: operation.readElements(input: index, count: values[input].shape.elementCount))
        } else if index == 0, let operation = step.operation as? any Inspectable {
          widen(input, by: operation.readFeatures(of: values[input].shape.elementCount))
        } else {
          widen(input, by: whole(input))
        }
      }
    }
    return inputs.map { input in
      masks[input.value]
        ?? Array(repeating: false, count: values[input.value].shape.elementCount)
    }
  }
}

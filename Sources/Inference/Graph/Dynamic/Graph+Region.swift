extension Graph {
  /// Adds the nodes that no plan can have as one step that takes rows one by one.
  ///
  /// - Throws: what is wrong with the nodes also for a single row.
  mutating func addRegion(
    _ nodes: [OnnxNode], of source: OnnxGraph, opsets: [String: Int64],
    numbers: inout [String: Int], limits: ModelLimits
  ) throws(ModelError) {
    var region = OnnxGraph()
    region.nodes = nodes
    let made = Set(nodes.flatMap(\.outputs))
    region.outputs = source.outputs.filter { made.contains($0.name) }
    var inputs: [Int] = []
    for name in region.freeNames.sorted() {
      guard let number = numbers[name] else {
        throw ModelError(.malformed, "value \"\(name)\" is not defined")
      }
      if let constant = values[number].constant {
        region.initializers.append((name, constant))
      } else {
        region.inputs.append(OnnxValue(name: name))
        inputs.append(number)
      }
    }
    let program = try Program(region, opsets: opsets, limits: limits)
    let names = region.outputs.map(\.name)
    let operation = try RowRegion(
      program, inputs: inputs.map { values[$0] }, names: names, limits: limits)
    let outputs = append(operation.outputs)
    for (name, number) in zip(names, outputs) { numbers[name] = number }
    append(Step(name: names.first ?? "", operation: operation, inputs: inputs, outputs: outputs))
  }
}

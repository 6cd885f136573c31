extension Graph {
  /// For each input, which of a row's elements can make a difference: those that on some way to an
  /// output meet no operator that passes them over.
  ///
  /// - Complexity: Linear in the steps and the elements of a row of their values.
  func readElements() -> [[Bool]] {
    var masks: [[Bool]?] = Array(repeating: nil, count: values.count)
    func widen(_ value: Int, by mask: [Bool]) {
      masks[value] = masks[value].map { zip($0, mask).map { $0 || $1 } } ?? mask
    }
    func flags(_ isRead: Bool, of value: Int) -> [Bool] {
      Array(repeating: isRead, count: values[value].shape.elementCount)
    }
    for output in outputs { widen(output.value, by: flags(true, of: output.value)) }
    for step in steps.reversed() where step.outputs.contains(where: { masks[$0] != nil }) {
      let outputMasks = step.outputs.map { masks[$0] ?? flags(false, of: $0) }
      for (index, input) in step.inputs.enumerated() {
        guard let input, values[input].constant == nil else { continue }
        let count = values[input].shape.elementCount
        widen(
          input,
          by: step.operation.isView && index == 0
            ? outputMasks[0]
            : step.operation.readElements(input: index, count: count, outputs: outputMasks))
      }
    }
    return inputs.map { masks[$0.value] ?? flags(false, of: $0.value) }
  }
}

extension Graph {
  /// For each input, which of a row's elements may be missing (NaN): those that on every way to
  /// an output meet an operator with a rule for it.
  func mayBeMissing() -> [[Bool]] {
    var masks: [[Bool]?] = Array(repeating: nil, count: values.count)
    func narrow(_ value: Int, to mask: [Bool]) {
      masks[value] = masks[value].map { zip($0, mask).map { $0 && $1 } } ?? mask
    }
    for output in outputs {
      narrow(
        output.value,
        to: Array(repeating: false, count: values[output.value].shape.elementCount))
    }
    for step in steps.reversed() {
      let outputMasks = step.outputs.map { value in
        masks[value] ?? Array(repeating: true, count: values[value].shape.elementCount)
      }
      for (index, input) in step.inputs.enumerated() {
        guard let input, values[input].constant == nil else { continue }
        let count = values[input].shape.elementCount
        if step.operation.isView && index == 0 {
          narrow(input, to: outputMasks[0])
        } else {
          narrow(
            input,
            to: step.operation.mayBeMissing(input: index, count: count, outputs: outputMasks))
        }
      }
    }
    return inputs.map { input in
      let info = values[input.value]
      guard info.type.isFloatingPoint else {
        return Array(repeating: false, count: info.shape.elementCount)
      }
      return masks[input.value] ?? Array(repeating: true, count: info.shape.elementCount)
    }
  }
}

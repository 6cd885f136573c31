/// Why an operator on constants gives no result.
enum EvaluationError: Error {
  /// The operator or its sizes are at fault.
  case model(ModelError)
  /// A value is at fault, as it would be for a row.
  case row(String)

  var modelError: ModelError {
    switch self {
    case .model(let error): error
    case .row(let reason): ModelError(.malformed, reason)
    }
  }
}

extension Operator {
  /// Runs an operator whose inputs are all known.
  ///
  /// - Parameter limit: Bytes that a result may take.
  /// - Throws: `.tooLarge` where a result takes more, and what the operator has against a value.
  func results(
    _ inputs: [Tensor?], _ node: Node, limit: Int
  ) throws(EvaluationError) -> [Tensor] {
    if outputs.allSatisfy({ $0.constant != nil }) { return outputs.compactMap(\.constant) }
    if isView, let constant = inputs.first ?? nil {
      return [Tensor(dims: outputs[0].shape.dims, buffer: constant.buffer)]
    }
    for info in outputs where info.shape.elementCount > limit / info.type.stride {
      throw .model(node.error(.tooLarge, "a constant of more than \(limit) bytes"))
    }
    let results = outputs.map { info in
      info.constant
        ?? Tensor(
          dims: info.shape.dims,
          buffer: TensorBuffer(info.type, capacity: info.shape.elementCount))
    }
    let failures = RowFailures()
    let scratch = UnsafeMutableRawPointer.allocate(
      byteCount: max(scratchByteCount(rows: 1), 64), alignment: 64)
    defer { scratch.deallocate() }
    withExtendedLifetime((inputs, results)) {
      run(
        Call(
          rowCount: 1, inputs: inputs.map { $0?.view }, outputs: results.map(\.view),
          scratch: scratch, failures: failures))
    }
    if let failure = failures.reasons.min(by: { $0.key < $1.key }) {
      throw .row(failure.value.reason)
    }
    return results
  }
}

/// The part of a graph that no plan can have, run for one row at a time.
///
/// Rows are independent of each other: each sees a batch of itself alone, whatever the batch is. A
/// row for which it cannot be computed is a failure. The number of columns is found at load, by
/// computing some rows.
struct RowRegion: Operator {
  let outputs: [ValueInfo]
  private let program: Program
  private let inputs: [ValueInfo]
  private let limits: ModelLimits
  private let passesMissing: Bool

  /// - Parameters:
  ///   - inputs: What is known of the program's inputs, in its order.
  ///   - names: Of the outputs, for messages.
  /// - Throws: what no row can be computed for, or an output whose size depends on the row.
  init(
    _ program: Program, inputs: [ValueInfo], names: [String], limits: ModelLimits
  ) throws(ModelError) {
    self.program = program
    self.inputs = inputs
    self.limits = limits
    passesMissing = program.treatsMissing
    var seen: [[Tensor]] = []
    var failure: ModelError?
    let execution = Execution(limits: limits)
    for probe in 0..<3 {
      do throws(ModelError) {
        execution.renew()
        let row = inputs.map { DynamicValue.tensor(Self.probe($0, probe)) }
        seen.append(try Self.tensors(program.run(row, execution), names))
      } catch {
        failure = failure ?? error
        if error.code == .unsupported { throw error }
      }
    }
    if let failure, seen.isEmpty, failure.code == .tooLarge { throw failure }
    var outputs: [ValueInfo] = []
    for (index, name) in names.enumerated() {
      let found = seen.map { $0[index] }
      let declared = program.outputTypes[index].flatMap(Self.declared)
      let info: (type: TensorType, dims: [Int])
      if let first = found.first, found.allSatisfy({ $0.dims == first.dims }) {
        info = (first.type, first.dims)
      } else if let declared {
        info = declared
      } else {
        throw failure
          ?? ModelError(
            .unsupported, "output \"\(name)\" has a size that depends on the values of a row")
      }
      guard ModelLimits.elementCount(info.dims, limit: limits.features) != nil else {
        throw ModelError(
          .tooLarge, "output \"\(name)\" has more than \(limits.features) columns")
      }
      // Rows lie one after the other; a first axis of one is that of the rows.
      let dims = info.dims.first == 1 ? info.dims : [1] + info.dims
      outputs.append(ValueInfo(info.type, Shape(dims, rowAxis: 0)))
    }
    self.outputs = outputs
  }

  func run(_ call: Call) {
    let execution = Execution(limits: limits)
    for row in 0..<call.rowCount {
      for output in call.outputs { clear(output, row, call.rowCount) }
      if call.failures.reasons[row] != nil { continue }
      do throws(ModelError) {
        execution.renew()
        let values = zip(call.inputs, inputs).map { view, info in
          view.map { DynamicValue.tensor(Self.part(of: $0, info, row, call.rowCount)) }
        }
        let results = try Self.tensors(program.run(values, execution), [])
        for (result, output) in zip(results, call.outputs) {
          let width = output.count / call.rowCount
          guard result.type == output.type, result.count == width else {
            throw ModelError(
              .malformed, "a result has \(result.count) elements where rows have \(width)")
          }
          ElementCopy(result.view, output)(from: 0, to: row * width, count: width)
        }
      } catch {
        call.failures.add(row: row, .wrongType, error.message)
      }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: passesMissing, count: count)
  }

  private func clear(_ output: TensorView, _ row: Int, _ rowCount: Int) {
    let width = output.count / rowCount
    if output.type == .string {
      (output.strings + row * width).update(repeating: "", count: width)
    } else {
      (output.base + row * width * output.type.stride).initializeMemory(
        as: UInt8.self, repeating: 0, count: width * output.type.stride)
    }
  }

  private static func tensors(
    _ values: [DynamicValue], _ names: [String]
  ) throws(ModelError) -> [Tensor] {
    var tensors: [Tensor] = []
    for (index, value) in values.enumerated() {
      guard let tensor = value.tensor else {
        throw ModelError(
          .unsupported,
          "output \"\(index < names.count ? names[index] : "\(index)")\" is of kind \(value.kind)")
      }
      tensors.append(tensor)
    }
    return tensors
  }

  /// A row's part of a value, as a batch of one has it.
  private static func part(
    of view: TensorView, _ info: ValueInfo, _ row: Int, _ rowCount: Int
  ) -> Tensor {
    guard let axis = info.shape.rowAxis else {
      // What depends on the number of rows alone.
      if let tensor = info.tensor(rows: 1) { return tensor }
      let copy = Tensor(
        dims: view.dims, buffer: TensorBuffer(view.type, capacity: view.count))
      ElementCopy(view, copy.view)(from: 0, to: 0, count: view.count)
      return copy
    }
    let dims = info.shape.dims
    let result = Tensor(
      dims: dims, buffer: TensorBuffer(info.type, capacity: info.shape.elementCount))
    let copy = ElementCopy(view, result.view)
    let size = dims[axis...].reduce(1, *)
    for outer in 0..<dims[..<axis].reduce(1, *) {
      copy(from: (outer * rowCount + row) * size, to: outer * size, count: size)
    }
    return result
  }

  /// A row to find sizes with.
  private static func probe(_ info: ValueInfo, _ number: Int) -> Tensor {
    if let tensor = info.tensor(rows: 1) { return tensor }
    let tensor = Tensor(
      dims: info.shape.dims, buffer: TensorBuffer(info.type, capacity: info.shape.elementCount))
    let view = tensor.view
    for index in 0..<tensor.count {
      if info.type == .string {
        view.strings[index] = number == 0 ? "" : "a"
      } else {
        view.set(index, number == 2 ? Double(index % 7) * 0.375 + 1 : Double(number))
      }
    }
    return tensor
  }

  /// Type and sizes of one row of an output, where the file has them all.
  private static func declared(_ type: OnnxType) -> (type: TensorType, dims: [Int])? {
    guard case .tensor(let code, let dims?) = type,
      let element = TensorType(rawValue: Int(clamping: code))
    else { return nil }
    var sizes: [Int] = []
    for (axis, size) in dims.enumerated() {
      if axis == 0 {
        sizes.append(1)
      } else {
        guard let size, size > 0 else { return nil }
        sizes.append(Int(size))
      }
    }
    return (element, sizes)
  }
}

extension Program {
  /// True where a node has a rule for missing values.
  fileprivate var treatsMissing: Bool {
    let types: Set<String> = ["IsNaN", "Imputer"]
    return steps.contains { types.contains($0.source.type) || $0.source.treats(types) }
  }
}

extension OnnxNode {
  /// True where a subgraph has a node of the types.
  fileprivate func treats(_ types: Set<String>) -> Bool {
    attributes.values.contains { attribute in
      guard case .graph(let graph) = attribute else { return false }
      return graph.nodes.contains { types.contains($0.type) || $0.treats(types) }
    }
  }
}

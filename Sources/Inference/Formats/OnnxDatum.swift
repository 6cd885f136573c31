/// A value of ONNX's test data: TensorProto, SequenceProto or OptionalProto.
package enum OnnxDatum: Sendable, Equatable {
  /// Integers beyond 2^53 are rounded; type is ONNX's name for the elements.
  case numbers(type: String, dims: [Int], [Double])
  case strings(dims: [Int], [String])
  case sequence([OnnxDatum])
  case none

  init(_ value: DynamicValue) {
    switch value {
    case .tensor(let tensor):
      if let doubles = tensor.doubles {
        self = .numbers(type: tensor.type.onnxName, dims: tensor.dims, doubles)
      } else {
        self = .strings(dims: tensor.dims, tensor.values())
      }
    case .sequence(let list): self = .sequence(list.map(OnnxDatum.init))
    case .optional(let value): self = value.map(OnnxDatum.init) ?? .none
    }
  }
}

extension OnnxDatum {
  /// A TensorProto.
  package init(tensor bytes: [UInt8], limits: ModelLimits = ModelLimits()) throws(ModelError) {
    let reader = ProtobufReader(bytes, nestingDepth: limits.nestingDepth)
    self.init(.tensor(try Tensor.onnx(reader, limits: limits).tensor))
  }
}

/// A graph run for given values, as ONNX's backend tests ask for it: no rows, no signature.
package struct OnnxEvaluator: Sendable {
  private let program: Program
  private let limits: ModelLimits
  private let inputTypes: [OnnxType?]
  private let bytes: [UInt8]

  /// - Throws: `ModelError` that names what is malformed or not supported.
  package init(_ bytes: [UInt8], limits: ModelLimits = ModelLimits()) throws(ModelError) {
    let file = try OnnxModel(bytes, limits: limits)
    program = try Program(file.graph, opsets: file.opsets, limits: limits)
    self.limits = limits
    let constants = Set(file.graph.initializers.map(\.name))
    inputTypes = file.graph.inputs.filter { !constants.contains($0.name) }.map(\.type)
    self.bytes = bytes
  }

  /// True where ONNX has the operator ("ai.onnx.Add") and so has the engine.
  package static func claims(_ name: String) -> Bool {
    let parts = name.split(separator: ".")
    guard let type = parts.last.map(String.init) else { return false }
    let domain = parts.dropLast().joined(separator: ".")
    let own = domain == "ai.onnx" ? "" : domain
    return OperatorRegistry.factories[own]?[type] != nil
      || OperatorRegistry.dynamicFactories[own]?[type] != nil
  }

  /// The outputs for inputs in the form of ONNX's test data.
  package func run(_ inputs: [[UInt8]]) throws(ModelError) -> [OnnxDatum] {
    guard inputs.count == inputTypes.count else {
      throw ModelError(.mismatch, "\(inputs.count) inputs for \(inputTypes.count)")
    }
    var values: [DynamicValue?] = []
    for (bytes, type) in zip(inputs, inputTypes) {
      values.append(try Self.value(bytes, type ?? .other, limits))
    }
    return try program.run(values, Execution(limits: limits)).map(OnnxDatum.init)
  }

  /// The types of the outputs, so that expected ones can be read.
  package func expected(_ bytes: [UInt8], output: Int) throws(ModelError) -> OnnxDatum {
    OnnxDatum(try Self.value(bytes, program.outputTypes[output] ?? .other, limits))
  }

  /// The outputs of the model's plan with the first input as rows and the others as constants where
  /// they have none; nil where no plan can have the graph.
  ///
  /// - Returns: The outputs whose first axis is the rows, the others empty.
  package func runRowByRow(_ inputs: [[UInt8]]) throws(ModelError) -> [OnnxDatum]? {
    var file = try OnnxModel(bytes, limits: limits)
    var tensors: [(name: String, tensor: Tensor)] = []
    let constants = Set(file.graph.initializers.map(\.name))
    let names = file.graph.inputs.map(\.name).filter { !constants.contains($0) }
    for (bytes, name) in zip(inputs, names) {
      guard
        let tensor = try Self.value(bytes, inputTypes[tensors.count] ?? .other, limits).tensor
      else { return nil }
      tensors.append((name, tensor))
    }
    guard let rows = tensors.first?.tensor.dims.first, rows > 0, rows <= 64,
      tensors[0].tensor.count > 0
    else { return nil }
    file.graph.initializers += tensors.dropFirst()
    file.graph.inputs = file.graph.inputs.filter { $0.name == tensors[0].name }
    let plan: Plan
    do {
      let graph = try Graph(file.graph, opsets: file.opsets, limits: limits)
      // What takes rows one by one gives them other results than a batch that it takes whole.
      guard
        !graph.steps.contains(where: {
          $0.operation is RowRegion || $0.operation is DynamicQuantize
        }), graph.inputs.count == 1,
        graph.outputs.allSatisfy({ graph.values[$0.value].shape.rowAxis == 0 })
      else { return nil }
      plan = try Plan(graph, limits: limits)
    } catch { return nil }
    let workspace = Workspace()
    defer { withExtendedLifetime(workspace) {} }
    let frame = workspace.frame(plan, rowCount: rows)
    let source = tensors[0].tensor
    guard frame.inputs[0].dims == source.dims, frame.inputs[0].type == source.type else {
      return nil
    }
    ElementCopy(source.view, frame.inputs[0])(from: 0, to: 0, count: source.count)
    frame.run()
    return frame.outputs.map { view in
      let copy = Tensor(
        dims: view.dims, buffer: TensorBuffer(view.type, capacity: view.count))
      ElementCopy(view, copy.view)(from: 0, to: 0, count: view.count)
      return OnnxDatum(.tensor(copy))
    }
  }

  private static func value(
    _ bytes: [UInt8], _ type: OnnxType, _ limits: ModelLimits
  ) throws(ModelError) -> DynamicValue {
    let reader = ProtobufReader(bytes, nestingDepth: limits.nestingDepth)
    switch type {
    case .sequence: return try sequence(reader, limits)
    case .optional: return try optional(reader, limits)
    default: return .tensor(try Tensor.onnx(reader, limits: limits).tensor)
    }
  }

  /// SequenceProto.
  private static func sequence(
    _ message: ProtobufReader, _ limits: ModelLimits
  ) throws(ModelError) -> DynamicValue {
    var reader = message
    var list: [DynamicValue] = []
    while let (number, value) = try reader.next() {
      switch number {
      case 3:
        list.append(.tensor(try Tensor.onnx(reader.message(value), limits: limits).tensor))
      case 5: list.append(try sequence(reader.message(value), limits))
      case 7: list.append(try optional(reader.message(value), limits))
      default: break
      }
    }
    return .sequence(list)
  }

  /// OptionalProto.
  private static func optional(
    _ message: ProtobufReader, _ limits: ModelLimits
  ) throws(ModelError) -> DynamicValue {
    var reader = message
    var result: DynamicValue?
    while let (number, value) = try reader.next() {
      switch number {
      case 3: result = .tensor(try Tensor.onnx(reader.message(value), limits: limits).tensor)
      case 5: result = try sequence(reader.message(value), limits)
      case 7: result = try optional(reader.message(value), limits)
      default: break
      }
    }
    return .optional(result)
  }
}

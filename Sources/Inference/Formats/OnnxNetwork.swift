/// Makes a model of an ONNX file whose inputs are tensors: images, sequences, signals.
enum OnnxNetwork {
  /// Numbers of a row that a table can still have as columns.
  private static let mostColumns = 1600
  /// Elements of a row's tensor.
  static let mostElements = 1 << 27

  /// Whether a graph reads tensors rather than columns of a table.
  static func isNetwork(_ graph: OnnxGraph) -> Bool {
    let constants = Set(graph.initializers.map(\.name))
    var embedded: Set<String> = []
    for node in graph.nodes where node.type == "Gather" && node.inputs.count == 2 {
      if constants.contains(node.inputs[0]) { embedded.insert(node.inputs[1]) }
    }
    return graph.inputs.contains { input in
      guard !constants.contains(input.name), let dims = input.dims, dims.count >= 2 else {
        return false
      }
      if dims.count >= 3 || dims[1] == nil || dims[1]! < 0 { return true }
      if dims[1]! > mostColumns { return true }
      return dims[1]! > 1 && embedded.contains(input.name)
    }
  }

  /// - Parameter file: Is empty afterwards: its weights are let go as they are packed.
  static func load(
    _ file: inout OnnxModel, labels: [String]?, limits: ModelLimits, device: Device
  ) throws(ModelError) -> Model {
    let backend = try ExecutionBackends.backend(for: device, isNetwork: true)
    let inputs = try inputs(of: file.graph)
    let isOpen = inputs.contains(where: \.isOpen)
    let weights = WeightStore(file.graph, isShared: isOpen)
    let opsets = file.opsets
    var outline = OnnxGraph()
    (outline.inputs, outline.outputs) = (file.graph.inputs, file.graph.outputs)
    let probabilities = probabilities(file.graph)
    // Other sizes have plans of their own, made of the file again.
    let kept = isOpen ? file.graph : OnnxGraph()
    let plan = try firstPlan(&file.graph, inputs, opsets, limits, weights)
    try backend.load(plan.plan)
    let graph = plan.plan.graph
    let (columns, outputs) = try outputs(outline, graph, probabilities, limits)
    if let labels, !columns.contains(where: { $0.shape?.last == labels.count }) {
      throw ModelError(
        .mismatch, "\(labels.count) labels were given, no output has as many numbers")
    }
    let constants = graph.values.reduce(0) { sum, info in
      sum + (info.constant.map { $0.count * $0.type.stride } ?? 0)
    }
    let packed = graph.steps.reduce(0) { $0 + $1.operation.constantByteCount }
    return Model(
      format: .onnx,
      signature: Signature(
        features: inputs.map { input in
          Signature.Feature(
            name: input.name, type: input.type.elementType, missing: .refused,
            shape: input.isTensor ? input.shape : nil)
        }, outputs: columns),
      byteCount: constants + packed + plan.plan.byteCount, device: backend.device,
      predictor: NetworkPredictor(
        Network(
          kept, inputs: inputs, opsets: opsets, limits: limits, weights: weights,
          first: plan, backend: backend),
        outputs: outputs))
  }

  private static func inputs(of graph: OnnxGraph) throws(ModelError) -> [Network.Input] {
    let constants = Set(graph.initializers.map(\.name))
    var inputs: [Network.Input] = []
    for input in graph.inputs where !constants.contains(input.name) {
      guard let code = input.elementType, let type = TensorType(rawValue: Int(clamping: code)),
        !type.isStored
      else {
        throw ModelError(
          .unsupported,
          "input \"\(input.name)\" is not a tensor of a type that is supported")
      }
      guard let dims = input.dims, !dims.isEmpty else {
        throw ModelError(.unsupported, "input \"\(input.name)\" has no axis for the rows")
      }
      var shape: [Int] = []
      for size in dims.dropFirst() { shape.append(size.map { $0 < 0 ? -1 : Int($0) } ?? -1) }
      guard !shape.contains(0) else {
        throw ModelError(.malformed, "input \"\(input.name)\" has an axis of no elements")
      }
      inputs.append(Network.Input(name: input.name, type: type, shape: shape == [1] ? [] : shape))
    }
    return inputs
  }

  /// A plan for the declared sizes, and for likely ones where they are open.
  private static func firstPlan(
    _ source: inout OnnxGraph, _ inputs: [Network.Input], _ opsets: [String: Int64],
    _ limits: ModelLimits, _ weights: WeightStore
  ) throws(ModelError) -> (sizes: [[Int]], plan: Plan) {
    guard inputs.contains(where: \.isOpen) else {
      let sizes = inputs.map(\.shape)
      let plan = try Network.plan(
        &source, inputs, sizes, opsets: opsets, limits: limits, weights: weights)
      return (sizes, plan)
    }
    var failure: ModelError?
    // An image of the usual size, a short sequence.
    for size in [224, 16, 1] {
      let sizes = inputs.map { $0.shape.map { $0 < 0 ? size : $0 } }
      do throws(ModelError) {
        var own = source
        let plan = try Network.plan(
          &own, inputs, sizes, opsets: opsets, limits: limits, weights: weights)
        return (sizes, plan)
      } catch {
        failure = failure ?? error
      }
    }
    throw failure ?? ModelError(.unsupported, "no plan can have the graph")
  }

  /// Outputs that are probabilities, by name.
  private static func probabilities(_ graph: OnnxGraph) -> Set<String> {
    let trace = OnnxTrace(graph)
    return Set(graph.outputs.map(\.name).filter(trace.isProbability))
  }

  /// A column for each output; what its rows are a tensor of, sizes open where the file has them so.
  private static func outputs(
    _ source: OnnxGraph, _ graph: Graph, _ probabilities: Set<String>, _ limits: ModelLimits
  ) throws(ModelError) -> ([Signature.Output], [(type: TensorType, isTensor: Bool)]) {
    var columns: [Signature.Output] = []
    var kinds: [(type: TensorType, isTensor: Bool)] = []
    var names: Set<String> = []
    for (index, output) in graph.outputs.enumerated() {
      let info = graph.values[output.value]
      guard info.shape.rowAxis == 0 || graph.isOfOneRow && info.shape.dims.first == 1 else {
        throw ModelError(
          .unsupported, "output \"\(output.name)\" of shape \(info.shape) is not row by row")
      }
      var shape = info.shape.rowTensor
      if info.shape.dims[0] == 1, let dims = source.outputs[index].dims,
        dims.count == shape.count + 1
      {
        for (axis, size) in dims.dropFirst().enumerated() where (size ?? -1) <= 0 {
          if graph.hasOpenInputs(source) { shape[axis] = -1 }
        }
      }
      let isTensor = info.shape.elementCount != 1 || shape.contains(-1)
      let base = OnnxOutputs.identifier(output.name)
      var name = !isTensor && graph.outputs.count == 1 ? "score" : base
      var number = 2
      while !names.insert(name).inserted {
        name = "\(base)_\(number)"
        number += 1
      }
      columns.append(
        Signature.Output(
          name: name, type: info.type.elementType,
          role: probabilities.contains(output.name)
            ? .probability : name == "score" ? .score : .value,
          shape: isTensor ? shape : nil))
      kinds.append((info.type, isTensor))
    }
    return (columns, kinds)
  }
}

extension Graph {
  /// Whether the file leaves sizes of inputs open, but for the rows.
  fileprivate func hasOpenInputs(_ source: OnnxGraph) -> Bool {
    source.inputs.contains { $0.dims?.dropFirst().contains { ($0 ?? -1) < 0 } ?? false }
  }
}

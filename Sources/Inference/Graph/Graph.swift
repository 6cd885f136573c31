/// A graph of checked operators over numbered values, in an order that can be run.
///
/// Only what the outputs need is in it, and nothing that could be computed at load.
struct Graph: Sendable {
  struct Step: Sendable {
    let name: String
    let operation: any Operator
    /// Numbers of values; nil for an optional input that is left out.
    let inputs: [Int?]
    let outputs: [Int]
    /// The operator's name, "" where several nodes became one.
    var type = ""
    /// What the operator is where it is a function of each element that a layer can end with.
    var activation: Activation?
  }

  struct Input: Sendable {
    let name: String
    let value: Int
  }

  /// What is known of each value; constants have theirs.
  private(set) var values: [ValueInfo] = []
  private(set) var steps: [Step] = []
  private(set) var inputs: [Input] = []
  private(set) var outputs: [Input] = []
  /// The input that a value comes from, where it is of one feature.
  private var origins: [Int: String] = [:]
  private var constantBytes = 0
  /// Whether the margins can be parted among the features, and how where that is asked for.
  private(set) var hasExplanation = false
  private(set) var explanation: LinearMargins?
  /// Whether the graph is one of layers over tensors, made for oneDNN.
  private(set) var isNetwork = false
  /// Whether the graph is made for one row, because it cannot tell rows apart.
  private(set) var isOfOneRow = false

  /// A constant that the graph computes may not be larger; that of a network is a layer's weights.
  private static let mostConstantBytes = (usual: 1 << 28, network: 1 << 30)

  /// Checks the graph of a file, node by node, and folds what is constant.
  ///
  /// - Parameters:
  ///   - explains: Whether `explanation` is wanted.
  ///   - isOfOneRow: Whether the first axis of each input is of size one, instead of open.
  ///   - isNetwork: Whether rows are tensors, and layers what is worth to be made fast: by `lowerNetwork`,
  ///     once nobody else needs the weights as the file has them.
  /// - Throws: `ModelError` that names the node or value at fault: defined twice, not defined,
  ///   in a cycle, or refused by its operator.
  init(
    _ source: OnnxGraph, opsets: [String: Int64], limits: ModelLimits, explains: Bool = false,
    isNetwork: Bool = false, isOfOneRow: Bool = false
  ) throws(ModelError) {
    var numbers: [String: Int] = [:]
    for (name, tensor) in source.initializers {
      guard numbers.updateValue(values.count, forKey: name) == nil else {
        throw ModelError(.malformed, "initializer \"\(name)\" is defined twice")
      }
      values.append(ValueInfo(constant: tensor))
    }
    for input in source.inputs {
      // Before IR 4 each initializer is also an input.
      if let number = numbers[input.name], values[number].constant != nil { continue }
      guard numbers.updateValue(values.count, forKey: input.name) == nil else {
        throw ModelError(.malformed, "input \"\(input.name)\" is defined twice")
      }
      origins[values.count] = input.name
      inputs.append(Input(name: input.name, value: values.count))
      values.append(
        try Self.inputInfo(
          input, mostElements: isNetwork ? OnnxNetwork.mostElements : limits.features,
          isOfOneRow: isOfOneRow))
    }
    (self.isNetwork, self.isOfOneRow) = (isNetwork, isOfOneRow)
    try addNodes(of: source, opsets: opsets, numbers: &numbers, limits: limits)
    for output in source.outputs {
      guard let number = numbers[output.name] else {
        throw ModelError(.malformed, "output \"\(output.name)\" is not defined")
      }
      guard !values[number].type.isStored else {
        throw ModelError(
          .unsupported,
          "output \"\(output.name)\" of element type \(values[number].type.onnxName) is not supported"
        )
      }
      outputs.append(Input(name: output.name, value: number))
    }
    guard !outputs.isEmpty else { throw ModelError(.malformed, "graph has no outputs") }
    guard !inputs.isEmpty else { throw ModelError(.malformed, "graph has no inputs") }
    if isNetwork { return }
    try fuseText()
    explanation = explains ? linearMargins() : nil
    hasExplanation = explains ? explanation != nil : hasLinearMargins
    fuseSums()
    fuseScalers()
    fuseLayers()
    takeColumns()
  }

  /// Checks the body of a loop that no row takes another way through than its neighbours.
  ///
  /// - Parameters:
  ///   - arguments: What is known of the body's inputs, in its order.
  ///   - constants: Values that the body takes from around it.
  init(
    body: OnnxGraph, arguments: [ValueInfo], constants: [String: Tensor],
    opsets: [String: Int64], limits: ModelLimits
  ) throws(ModelError) {
    var numbers: [String: Int] = [:]
    for (name, tensor) in constants {
      numbers[name] = values.count
      values.append(ValueInfo(constant: tensor))
    }
    for (name, tensor) in body.initializers {
      numbers[name] = values.count
      values.append(ValueInfo(constant: tensor))
    }
    for (input, info) in zip(body.inputs, arguments) {
      guard numbers.updateValue(values.count, forKey: input.name) == nil else {
        throw ModelError(.malformed, "input \"\(input.name)\" is defined twice")
      }
      if info.constant == nil { inputs.append(Input(name: input.name, value: values.count)) }
      values.append(info)
    }
    let order = try NodeOrder(body, known: Set(numbers.keys))
    for index in order.live {
      try add(body.nodes[index], opsets: opsets, numbers: &numbers, limits: limits)
    }
    for output in body.outputs {
      guard let number = numbers[output.name] else {
        throw ModelError(.malformed, "output \"\(output.name)\" is not defined")
      }
      outputs.append(Input(name: output.name, value: number))
    }
  }

  /// Adds what a plan can have of the nodes, and the rest as a step that takes rows one by one.
  private mutating func addNodes(
    of source: OnnxGraph, opsets: [String: Int64], numbers: inout [String: Int],
    limits: ModelLimits
  ) throws(ModelError) {
    let order = try NodeOrder(source, known: Set(numbers.keys))
    var alone: [OnnxNode] = []
    var aloneNames: Set<String> = []
    for index in order.live {
      let node = source.nodes[index]
      if aloneNames.isEmpty || aloneNames.isDisjoint(with: node.reads) {
        do throws(ModelError) {
          try add(node, opsets: opsets, numbers: &numbers, limits: limits)
          continue
        } catch {
          // A network is tried for one row at a time before it is interpreted.
          guard error.code == .unsupported, error.detail != Node.rowsMix,
            OperatorRegistry.has(node), !isNetwork || isOfOneRow
          else { throw error }
        }
      }
      alone.append(node)
      aloneNames.formUnion(node.outputs)
    }
    guard !alone.isEmpty else { return }
    try addRegion(alone, of: source, opsets: opsets, numbers: &numbers, limits: limits)
  }

  /// Keeps the memory of inputs apart from all else, so that it can be written between runs.
  mutating func keepInputs() { outputs += inputs }

  /// True where one of the values is another input than that of its own place.
  func exchangesInputs(_ numbers: [Int]) -> Bool {
    var roots = Array(values.indices)
    for step in steps where step.operation.isView {
      if let input = step.inputs[0] { roots[step.outputs[0]] = roots[input] }
    }
    let places = Set(inputs.map(\.value))
    return zip(numbers, inputs).contains { number, input in
      places.contains(roots[number]) && roots[number] != input.value
    }
  }

  /// Adds values and gives their numbers.
  mutating func append(_ infos: [ValueInfo]) -> [Int] {
    defer { values += infos }
    return infos.indices.map { values.count + $0 }
  }

  mutating func append(_ step: Step) { steps.append(step) }

  mutating func replaceStep(_ index: Int, with step: Step) { steps[index] = step }

  mutating func removeSteps(_ indices: Set<Int>) {
    steps = steps.enumerated().filter { !indices.contains($0.offset) }.map(\.element)
  }

  /// Lets go of constants that no step reads and no output is.
  mutating func dropUnreadConstants() {
    var read = Set(outputs.map(\.value))
    for step in steps { read.formUnion(step.inputs.compactMap { $0 }) }
    for value in values.indices where values[value].constant != nil && !read.contains(value) {
      values[value].constant = nil
      values[value].shape = Shape([0])
    }
  }

  /// Puts other values in the places of the outputs.
  mutating func replaceOutputs(with numbers: [Int]) {
    outputs = zip(outputs, numbers).map { Input(name: $0.name, value: $1) }
  }

  mutating func setSteps(_ steps: [Step]) { self.steps = steps }

  /// Removes the steps that nothing needs.
  mutating func removeUnread() {
    var needed = Set(outputs.map(\.value))
    var unread: Set<Int> = []
    for (index, step) in steps.enumerated().reversed() {
      if step.outputs.contains(where: needed.contains) {
        needed.formUnion(step.inputs.compactMap { $0 })
      } else {
        unread.insert(index)
      }
    }
    removeSteps(unread)
  }

  /// Lays an input out feature by feature instead of row by row.
  mutating func turn(_ input: Int) {
    values[input].shape = Shape([values[input].shape.dims[1], 1], rowAxis: 1)
  }

  /// Type and shape of a graph's input: its first axis is the rows, whatever size it declares.
  private static func inputInfo(
    _ input: OnnxValue, mostElements: Int, isOfOneRow: Bool
  ) throws(ModelError) -> ValueInfo {
    guard let code = input.elementType else {
      throw ModelError(.unsupported, "input \"\(input.name)\" is not a tensor")
    }
    guard let type = TensorType(rawValue: Int(clamping: code)), !type.isStored else {
      throw ModelError(
        .unsupported,
        "input \"\(input.name)\" of element type \(OnnxTypes.name(code)) is not supported")
    }
    guard let dims = input.dims, !dims.isEmpty else {
      throw ModelError(.unsupported, "input \"\(input.name)\" has no axis for the rows")
    }
    var sizes = [1]
    var width = 1
    for size in dims.dropFirst() {
      guard let size, size > 0 else {
        throw ModelError(
          .unsupported, "input \"\(input.name)\" has an open number of features",
          hint: "Export the model with the number of features in the input's shape.")
      }
      let (product, overflow) = width.multipliedReportingOverflow(by: Int(size))
      guard !overflow, product <= mostElements else {
        throw ModelError(
          .tooLarge, "input \"\(input.name)\" has more than \(mostElements) features")
      }
      width = product
      sizes.append(Int(size))
    }
    return ValueInfo(type, Shape(sizes, rowAxis: isOfOneRow ? nil : 0))
  }

  mutating func add(
    _ source: OnnxNode, opsets: [String: Int64], numbers: inout [String: Int],
    limits: ModelLimits
  ) throws(ModelError) {
    if try addControlFlow(source, opsets: opsets, numbers: &numbers, limits: limits) { return }
    let inputs = source.inputs.map { $0.isEmpty ? nil : numbers[$0] }
    let node = Node(
      name: source.displayName, type: source.type, domain: source.domain,
      opset: Int(source.opset ?? opsets[source.domain] ?? 1), attributes: source.attributes,
      inputs: inputs.map { $0.map { values[$0] } },
      wantsOutput: source.outputs.map { !$0.isEmpty }, feature: origin(of: inputs),
      limits: limits, isOfNetwork: isNetwork)
    let operation = try OperatorRegistry.make(node)
    let isRagged = node.inputs.contains { $0?.isRagged ?? false }
    guard !isRagged || operation.isView || operation is any ReadsRaggedRows else {
      throw node.error(.unsupported, "rows of different numbers of tokens are not supported")
    }
    guard operation.outputs.count >= source.outputs.count else {
      throw node.error(
        .malformed, "\(source.outputs.count) outputs where \(operation.outputs.count) are there")
    }
    // An operator computes all its outputs, also those that the node does not name.
    let outputs = operation.outputs.indices.map { values.count + $0 }
    for (name, number) in zip(source.outputs, outputs) where !name.isEmpty {
      numbers[name] = number
      origins[number] = node.feature
    }
    var known = try Self.known(operation, node)
    if isRagged, operation.isView { known[0].isRagged = true }
    for info in known {
      constantBytes += info.constant.map { $0.count * $0.type.stride } ?? 0
    }
    guard constantBytes <= limits.byteCount else {
      throw node.error(.tooLarge, "constants take more than \(limits.byteCount) bytes")
    }
    values += known
    guard known.allSatisfy({ $0.constant != nil }) else {
      steps.append(
        Step(
          name: node.name, operation: operation, inputs: inputs, outputs: outputs,
          type: node.type, activation: isNetwork ? Activation(node) : nil))
      return
    }
  }

  /// The input that all inputs of a node come from, constants aside; nil where there are several.
  private func origin(of inputs: [Int?]) -> String? {
    let varying = inputs.compactMap { $0 }.filter { values[$0].constant == nil }
    return varying.count == 1 ? origins[varying[0]] : nil
  }

  /// What is known of an operator's outputs: constants where its inputs are, and shapes that grow
  /// with the rows where its inputs are such.
  private static func known(
    _ operation: any Operator, _ node: Node
  ) throws(ModelError) -> [ValueInfo] {
    let outputs = operation.outputs.map { info in
      // A shape without rows is a constant.
      guard info.constant == nil, let extents = info.extents else { return info }
      let sizes = extents.compactMap { if case .fixed(let size) = $0 { size } else { nil } }
      guard sizes.count == extents.count, info.type == .int64 else { return info }
      return ValueInfo(constant: Tensor(sizes.map(Int64.init), dims: info.shape.dims))
    }
    guard outputs.allSatisfy({ !$0.shape.isBatched }) else { return outputs }
    if outputs.allSatisfy({ $0.constant != nil }) { return outputs }
    if node.inputs.allSatisfy({ $0.map { $0.constant != nil } ?? true }) {
      return try fold(operation, node, inputs: node.inputs).map(ValueInfo.init(constant:))
    }
    return outputs.count == 1 ? [try withExtents(operation, outputs[0], node)] : outputs
  }

  /// Computes a vector of sizes for two numbers of rows, and so how it grows with them.
  private static func withExtents(
    _ operation: any Operator, _ output: ValueInfo, _ node: Node
  ) throws(ModelError) -> ValueInfo {
    guard output.type == .int64 || output.type == .int32, output.extents == nil,
      output.shape.elementCount <= 64
    else { return output }
    // Two primes: what is so many times both is so many times the rows.
    let rowCounts = [1009, 2003]
    var results: [[Int]] = []
    for rows in rowCounts {
      var concrete: [ValueInfo?] = []
      for input in node.inputs {
        guard let input else {
          concrete.append(nil)
          continue
        }
        guard let tensor = input.constant ?? input.tensor(rows: rows) else { return output }
        concrete.append(ValueInfo(constant: tensor))
      }
      let folded = try fold(operation, node, inputs: concrete)[0]
      guard let values = folded.integers else { return output }
      results.append(values)
    }
    var extents: [Extent] = []
    for (first, second) in zip(results[0], results[1]) {
      if first == second {
        extents.append(.fixed(first))
      } else if first % rowCounts[0] == 0, second == first / rowCounts[0] * rowCounts[1] {
        extents.append(.rows(first / rowCounts[0]))
      } else {
        return output
      }
    }
    var output = output
    output.extents = extents
    return output
  }

  private static func fold(
    _ operation: any Operator, _ node: Node, inputs: [ValueInfo?]
  ) throws(ModelError) -> [Tensor] {
    do {
      return try operation.results(
        inputs.map { $0?.constant }, node,
        limit: node.isOfNetwork ? mostConstantBytes.network : mostConstantBytes.usual)
    } catch {
      guard case .row(let reason) = error else { throw error.modelError }
      throw ModelError(.malformed, "in a constant, \(reason)")
    }
  }
}

/// A node as its operator's factory sees it: attributes, opset and what is known of its inputs.
struct Node: Sendable {
  /// The node's own name, or that of its first output.
  let name: String
  let type: String
  /// "" for ai.onnx.
  let domain: String
  /// Version of the operator set of the node's domain.
  let opset: Int
  let attributes: [String: Attribute]
  /// In the node's order; nil where an optional input is left out.
  let inputs: [ValueInfo?]
  /// Outputs that are asked for; an optional one that is left out is false.
  let wantsOutput: [Bool]
  /// The graph's input that the node's values come from, where it is one alone.
  let feature: String?
  let limits: ModelLimits
  /// Counts the work of a run that makes its operators as it goes; nil at load.
  var meter: WorkMeter?
  /// Whether the node is one of a network of tensors, whose products are of floats.
  var isOfNetwork = false

  enum Attribute: Sendable {
    case float(Float)
    case int(Int64)
    case string(String)
    case tensor(Tensor)
    case floats([Float])
    case ints([Int64])
    case strings([String])
    /// The two as long lists of an ensemble are kept; words as their places among some names.
    case int32s([Int32])
    case words([UInt8], [String])
    case graph(OnnxGraph)
    case type(OnnxType)
    /// In a function's body: the attribute of this name that the function is called with.
    case reference(String)
    /// A type that no operator here reads.
    case other
  }

  func error(_ code: ModelError.Code, _ message: String) -> ModelError {
    ModelError(code, "operator \"\(type)\": \(message) (node \"\(name)\")")
  }

  /// What is wrong with an operator that takes rows together.
  ///
  /// Such a model is not run for single rows either: their results would not be those of a batch.
  func mixing(_ message: String) -> ModelError {
    var error = error(.unsupported, message)
    error.detail = Self.rowsMix
    return error
  }

  static let rowsMix = "A row's result would depend on the other rows of its batch."
}

// MARK: Attributes

extension Node {
  /// The attribute's value, or nil where it is absent; refused where it has another type.
  private func attribute<T>(
    _ name: String, _ kind: String, _ read: (Attribute) -> T?
  ) throws(ModelError) -> T? {
    guard let attribute = attributes[name] else { return nil }
    guard let value = read(attribute) else {
      throw error(.malformed, "attribute \"\(name)\" is not of type \(kind)")
    }
    return value
  }

  func float(_ name: String) throws(ModelError) -> Float? {
    try attribute(name, "float") { if case .float(let value) = $0 { value } else { nil } }
  }

  func float(_ name: String, default value: Float) throws(ModelError) -> Float {
    try float(name) ?? value
  }

  func int(_ name: String) throws(ModelError) -> Int? {
    try attribute(name, "int") { if case .int(let value) = $0 { Int(value) } else { nil } }
  }

  func int(_ name: String, default value: Int) throws(ModelError) -> Int {
    try int(name) ?? value
  }

  func string(_ name: String) throws(ModelError) -> String? {
    try attribute(name, "string") { if case .string(let value) = $0 { value } else { nil } }
  }

  func string(_ name: String, default value: String) throws(ModelError) -> String {
    try string(name) ?? value
  }

  func tensor(_ name: String) throws(ModelError) -> Tensor? {
    try attribute(name, "tensor") { if case .tensor(let value) = $0 { value } else { nil } }
  }

  func floats(_ name: String) throws(ModelError) -> [Float]? {
    try attribute(name, "floats") {
      switch $0 {
      case .floats(let value): value
      // An empty list is written without elements, so its type says nothing.
      case .ints(let value) where value.isEmpty: []
      case .strings(let value) where value.isEmpty: []
      default: nil
      }
    }
  }

  func ints(_ name: String) throws(ModelError) -> [Int]? {
    try attribute(name, "ints") {
      switch $0 {
      case .ints(let value): value.map(Int.init)
      case .int32s(let value): value.map(Int.init)
      case .floats(let value) where value.isEmpty: []
      case .strings(let value) where value.isEmpty: []
      default: nil
      }
    }
  }

  /// Integers that 32 bits hold each; nil also where some do not.
  func int32s(_ name: String) throws(ModelError) -> [Int32]? {
    if case .int32s(let value)? = attributes[name] { return value }
    guard let wide = try int64s(name) else { return nil }
    let narrow = wide.compactMap { Int32(exactly: $0) }
    return narrow.count == wide.count ? narrow : nil
  }

  /// Texts of few kinds; nil also where there are many.
  func words(_ name: String) -> (numbers: [UInt8], names: [String])? {
    if case .words(let numbers, let names)? = attributes[name] { (numbers, names) } else { nil }
  }

  /// Integers as the file has them, without a copy.
  func int64s(_ name: String) throws(ModelError) -> [Int64]? {
    try attribute(name, "ints") {
      switch $0 {
      case .ints(let value): value
      case .int32s(let value): value.map(Int64.init)
      case .floats(let value) where value.isEmpty: []
      case .strings(let value) where value.isEmpty: []
      default: nil
      }
    }
  }

  func graph(_ name: String) throws(ModelError) -> OnnxGraph? {
    try attribute(name, "graph") { if case .graph(let value) = $0 { value } else { nil } }
  }

  func strings(_ name: String) throws(ModelError) -> [String]? {
    try attribute(name, "strings") {
      switch $0 {
      case .strings(let value): value
      case .words(let numbers, let names): numbers.map { names[Int($0)] }
      case .floats(let value) where value.isEmpty: []
      case .ints(let value) where value.isEmpty: []
      default: nil
      }
    }
  }
}

// MARK: Inputs and outputs

extension Node {
  /// What is known of an input that must be there.
  func input(_ index: Int) throws(ModelError) -> ValueInfo {
    guard index < inputs.count, let info = inputs[index] else {
      throw error(.malformed, "input \(index) is missing")
    }
    return info
  }

  /// What is known of an input that may be left out.
  func optionalInput(_ index: Int) -> ValueInfo? {
    index < inputs.count ? inputs[index] : nil
  }

  /// An input that must be there with one of the types.
  func input(_ index: Int, _ types: TensorType...) throws(ModelError) -> ValueInfo {
    let info = try input(index)
    guard types.contains(info.type) else {
      throw error(.unsupported, "input \(index) of type \(info.type.onnxName) is not supported")
    }
    return info
  }

  /// The constant integers of an input, as axes and shapes are given from opset 13 on.
  func constantInts(input index: Int) throws(ModelError) -> [Int]? {
    guard let info = optionalInput(index) else { return nil }
    guard let constant = info.constant, let values = constant.integers else {
      throw error(.unsupported, "input \(index) is not a constant integer tensor")
    }
    return values
  }

  /// An input as rows of features: `[rows, width]`, or `[rows]` as one feature.
  ///
  /// - Returns: The width of a row.
  func rowWidth(_ info: ValueInfo) throws(ModelError) -> Int {
    guard info.shape.rowAxis == 0, info.shape.dims[0] == 1, info.shape.rank <= 2 else {
      throw error(.malformed, "input of shape \(info.shape) is not [rows, features]")
    }
    return info.shape.rank == 2 ? info.shape.dims[1] : 1
  }

  /// An axis in `0..<rank`, from one that may count from the end.
  func axis(_ axis: Int, rank: Int) throws(ModelError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw error(.malformed, "axis \(axis) is outside of rank \(rank)")
    }
    return axis < 0 ? axis + rank : axis
  }

  /// An output, its size within the limits.
  func output(_ type: TensorType, _ shape: Shape) throws(ModelError) -> ValueInfo {
    try check(shape.dims)
    return ValueInfo(type, shape)
  }

  /// Refuses dimensions that are negative or multiply to more than the limits.
  func check(_ dims: [Int]) throws(ModelError) {
    guard dims.allSatisfy({ $0 >= 0 }) else { throw error(.malformed, "a size is negative") }
    guard ModelLimits.elementCount(dims, limit: limits.elementCount) != nil else {
      throw error(.tooLarge, "a tensor has more than \(limits.elementCount) elements")
    }
  }

  /// Refuses a node with too few or too many inputs.
  func checkInputs(_ range: ClosedRange<Int>) throws(ModelError) {
    guard range.contains(inputs.count) else {
      throw error(
        .malformed,
        "\(inputs.count) inputs where "
          + (range.count == 1
            ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)")
          + " are wanted")
    }
  }
}

extension Node {
  /// The same node with other inputs.
  func with(inputs: [ValueInfo?]) -> Node {
    Node(
      name: name, type: type, domain: domain, opset: opset, attributes: attributes,
      inputs: inputs, wantsOutput: wantsOutput, feature: feature,
      limits: limits, meter: meter, isOfNetwork: isOfNetwork)
  }

  /// The same attributes for an operator of another type or domain.
  func with(type: String, attributes: [String: Attribute], inputs: [ValueInfo?]) -> Node {
    Node(
      name: name, type: type, domain: domain, opset: opset, attributes: attributes,
      inputs: inputs, wantsOutput: wantsOutput, feature: feature, limits: limits, meter: meter,
      isOfNetwork: isOfNetwork)
  }
}

/// A table from elements of one type to elements of another, with a value for all that it lacks.
///
/// All NaN are one key, and so are both zeros. Of equal keys the last counts.
struct LookUpTable: Operator {
  let outputs: [ValueInfo]
  private let look: @Sendable (TensorView, TensorView) -> Void
  private let hasKeyForMissing: Bool

  init<Key: TensorElement, Value: TensorElement>(
    _ node: Node, _ input: ValueInfo, keys: [Key], values: [Value], otherwise: Value
  ) throws(ModelError) {
    guard keys.count == values.count else {
      throw node.error(.malformed, "\(keys.count) keys for \(values.count) values")
    }
    outputs = [try node.output(Value.tensorType, input.shape)]
    hasKeyForMissing =
      Key.tensorType.isFloatingPoint && Tensor(keys).doubles?.contains(where: \.isNaN) == true
    if let keys = keys as? [String] {
      let table = Self.table(keys, values)
      look = { source, target in
        let from = source.strings
        let to = target.pointer(as: Value.self)
        for i in 0..<source.count { to[i] = table[from[i]] ?? otherwise }
      }
    } else if let keys = keys as? [Int64] {
      let table = Self.table(keys, values)
      look = { source, target in
        let from = source.int64s
        let to = target.pointer(as: Value.self)
        for i in 0..<source.count { to[i] = table[from[i]] ?? otherwise }
      }
    } else {
      // Doubles hold every other numeric type.
      let numbers = Tensor(keys).doubles ?? []
      let table = Self.table(numbers.map(Self.bits), values)
      look = { source, target in
        let to = target.pointer(as: Value.self)
        for i in 0..<source.count { to[i] = table[Self.bits(source.double(i))] ?? otherwise }
      }
    }
  }

  private static func table<Key: Hashable, Value>(
    _ keys: [Key], _ values: [Value]
  ) -> [Key: Value] {
    Dictionary(zip(keys, values), uniquingKeysWith: { $1 })
  }

  private static func bits(_ value: Double) -> UInt64 {
    value.isNaN ? Double.nan.bitPattern : (value == 0 ? 0 : value.bitPattern)
  }

  func run(_ call: Call) { look(call.input(0), call.output(0)) }

  /// A missing value is one of the model's where NaN is a key; else it is no better than unknown.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: hasKeyForMissing, count: count)
  }
}

/// LabelEncoder: looks each element up in a table, and gives a default for one that is not there.
enum LabelEncoder {
  static let make: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0)
    if node.opset == 1 { return try numbered(node, info) }
    return try withKeys(node, info, info.type.element)
  }

  /// Opset 1: classes that number themselves.
  private static func numbered(
    _ node: Node, _ info: ValueInfo
  ) throws(ModelError) -> any Operator {
    let classes = try node.strings("classes_strings") ?? []
    guard !classes.isEmpty else { throw node.error(.malformed, "no classes_strings") }
    let numbers = (0..<classes.count).map(Int64.init)
    switch info.type {
    case .string:
      return try LookUpTable(
        node, info, keys: classes, values: numbers,
        otherwise: Int64(try node.int("default_int64", default: -1)))
    case .int64:
      return try LookUpTable(
        node, info, keys: numbers, values: classes,
        otherwise: try node.string("default_string", default: "_Unused"))
    default:
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
  }

  private static func withKeys<Key: TensorElement>(
    _ node: Node, _ info: ValueInfo, _ type: Key.Type
  ) throws(ModelError) -> any Operator {
    let keys: [Key]
    if let list = try list(node, "keys", as: Key.self), !list.isEmpty {
      keys = list
    } else if let tensor = try node.tensor("keys_tensor"), tensor.type == Key.tensorType {
      keys = tensor.values()
    } else {
      throw node.error(.malformed, "no keys of type \(Key.tensorType.onnxName)")
    }
    if let values = try list(node, "values", as: String.self), !values.isEmpty {
      return try LookUpTable(
        node, info, keys: keys, values: values,
        otherwise: try node.string("default_string", default: "_Unused"))
    }
    if let values = try list(node, "values", as: Int64.self), !values.isEmpty {
      return try LookUpTable(
        node, info, keys: keys, values: values,
        otherwise: Int64(try node.int("default_int64", default: -1)))
    }
    if let values = try list(node, "values", as: Float.self), !values.isEmpty {
      return try LookUpTable(
        node, info, keys: keys, values: values,
        otherwise: try node.float("default_float", default: -0.0))
    }
    guard let values = try node.tensor("values_tensor") else {
      throw node.error(.malformed, "no values")
    }
    return try withValues(node, info, keys, values, values.type.element)
  }

  private static func withValues<Key: TensorElement, Value: TensorElement>(
    _ node: Node, _ info: ValueInfo, _ keys: [Key], _ values: Tensor, _ type: Value.Type
  ) throws(ModelError) -> any Operator {
    var otherwise: [Value] = []
    if let tensor = try node.tensor("default_tensor") {
      guard tensor.type == Value.tensorType, tensor.count == 1 else {
        throw node.error(
          .malformed, "default_tensor is not one \(Value.tensorType.onnxName)")
      }
      otherwise = tensor.values()
    } else if Value.tensorType == .string {
      otherwise = Tensor(["_Unused"]).values()
    } else {
      // -0.0 for floats, -1 for integers.
      let buffer = TensorBuffer(Value.tensorType, capacity: 1)
      let tensor = Tensor(dims: [1], buffer: buffer)
      tensor.view.set(0, Value.tensorType.isFloatingPoint ? -0.0 : -1)
      otherwise = tensor.values()
    }
    return try LookUpTable(
      node, info, keys: keys, values: values.values(as: Value.self), otherwise: otherwise[0])
  }

  /// `<name>_floats`, `…_int64s` or `…_strings`, as the element type has it; nil where absent.
  private static func list<T: TensorElement>(
    _ node: Node, _ name: String, as type: T.Type
  ) throws(ModelError) -> [T]? {
    switch T.tensorType {
    case .string: try node.strings("\(name)_strings") as? [T]
    case .int64: try node.ints("\(name)_int64s")?.map(Int64.init) as? [T]
    case .float32: try node.floats("\(name)_floats") as? [T]
    default: nil
    }
  }
}

/// CategoryMapper: strings to integers or back, by two lists of equal length.
enum CategoryMapper {
  static let make: OperatorFactory = { node throws(ModelError) in
    let info = try node.input(0, .string, .int64)
    let names = try node.strings("cats_strings") ?? []
    let numbers = try (node.ints("cats_int64s") ?? []).map(Int64.init)
    if info.type == .string {
      return try LookUpTable(
        node, info, keys: names, values: numbers,
        otherwise: Int64(try node.int("default_int64", default: -1)))
    }
    return try LookUpTable(
      node, info, keys: numbers, values: names,
      otherwise: try node.string("default_string", default: "_Unused"))
  }
}

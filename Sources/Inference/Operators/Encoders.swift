/// OneHotEncoder: a 1 in the place of the element's category.
///
/// An element of none of the categories becomes zeros, or, where the model forbids those
/// (`zeros` is 0), makes its row a failure.
struct OneHotEncoder: Operator {
  let outputs: [ValueInfo]
  private let categories: Categories
  private let count: Int
  private let allowsUnseen: Bool
  /// Elements of a row of the input.
  private let width: Int
  private let source: String

  private enum Categories: Sendable {
    case ints([Int64: Int])
    case strings([String: Int])
  }

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let ints = try node.ints("cats_int64s") ?? []
    let strings = try node.strings("cats_strings") ?? []
    guard ints.isEmpty != strings.isEmpty else {
      throw node.error(.malformed, "wants either cats_int64s or cats_strings")
    }
    guard (info.type == .string) == ints.isEmpty, info.type != .bool else {
      throw node.error(
        .malformed, "input of type \(info.type.onnxName) does not fit the categories")
    }
    // Of equal categories the last counts, as in a map that is filled in order.
    if ints.isEmpty {
      categories = .strings(
        Dictionary(zip(strings, 0...), uniquingKeysWith: { $1 }))
    } else {
      categories = .ints(Dictionary(zip(ints.map(Int64.init), 0...), uniquingKeysWith: { $1 }))
    }
    count = ints.count + strings.count
    allowsUnseen = try node.int("zeros", default: 1) != 0
    width = info.shape.elementCount
    source = node.feature.map { "feature \"\($0)\"" } ?? "node \"\(node.name)\""
    outputs = [
      try node.output(.float32, Shape(info.shape.dims + [count], rowAxis: info.shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    let target = call.output(0).floats
    target.update(repeating: 0, count: input.count * count)
    switch categories {
    case .strings(let places):
      let source = input.strings
      encode(call, input.count) { places[source[$0]] }
    case .ints(let places):
      switch input.type {
      case .int64:
        let source = input.int64s
        encode(call, input.count) { places[source[$0]] }
      case .int32:
        let source = input.int32s
        encode(call, input.count) { places[Int64(source[$0])] }
      case .float32:
        let source = input.floats
        encode(call, input.count) { Self.whole(Double(source[$0])).flatMap { places[$0] } }
      default:
        let source = input.doubles
        encode(call, input.count) { Self.whole(source[$0]).flatMap { places[$0] } }
      }
    }
  }

  /// The number without its fraction, as a C cast has it; nil where there is none.
  private static func whole(_ value: Double) -> Int64? {
    Int64(exactly: value.rounded(.towardZero))
  }

  @inline(__always)
  private func encode(_ call: Call, _ elements: Int, _ place: (Int) -> Int?) {
    let target = call.output(0).floats
    for i in 0..<elements {
      if let place = place(i) {
        target[i * count + place] = 1
      } else if !allowsUnseen {
        call.failures.add(
          row: i / max(width, 1), .unseenCategory,
          "\(source) has a category that was not seen in training")
      }
    }
  }
}

/// LabelEncoder: looks each element up in a table, and gives a default for one that is not there.
struct LabelEncoder: Operator {
  let outputs: [ValueInfo]
  private let lookUp: @Sendable (TensorView, TensorView) -> Void

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    if node.opset == 1 {
      (lookUp, outputs) = try Self.first(node, info)
      return
    }
    switch info.type {
    case .string:
      (lookUp, outputs) = try Self.table(node, info, try Self.keys(node, "strings")) {
        (key: String) in key
      }
    case .int64:
      (lookUp, outputs) = try Self.table(node, info, try Self.keys(node, "int64s")) {
        (key: Int64) in key
      }
    case .float32:
      // All NaN are one key, and so are both zeros.
      (lookUp, outputs) = try Self.table(node, info, try Self.keys(node, "floats")) {
        (key: Float) in key.isNaN ? Float.nan.bitPattern : (key == 0 ? 0 : key.bitPattern)
      }
    case .float64:
      (lookUp, outputs) = try Self.table(node, info, try Self.keys(node, nil)) {
        (key: Double) in key.isNaN ? Double.nan.bitPattern : (key == 0 ? 0 : key.bitPattern)
      }
    default:
      throw node.error(.unsupported, "keys of type \(info.type.onnxName) are not supported")
    }
  }

  private typealias LookUp = @Sendable (TensorView, TensorView) -> Void

  /// Opset 1: classes that number themselves.
  private static func first(
    _ node: Node, _ info: ValueInfo
  ) throws(ModelError) -> (LookUp, [ValueInfo]) {
    let classes = try node.strings("classes_strings") ?? []
    guard !classes.isEmpty else { throw node.error(.malformed, "no classes_strings") }
    let numbers = (0..<classes.count).map(Int64.init)
    switch info.type {
    case .string:
      let missing = Int64(try node.int("default_int64", default: -1))
      return try table(
        node, info, keys: classes, values: numbers, missing: missing, hash: { $0 })
    case .int64:
      let missing = try node.string("default_string", default: "_Unused")
      return try table(
        node, info, keys: numbers, values: classes, missing: missing, hash: { $0 })
    default:
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
  }

  /// The keys, from `keys_<suffix>` or `keys_tensor`.
  private static func keys<T: TensorElement>(
    _ node: Node, _ suffix: String?
  ) throws(ModelError) -> [T] {
    if let suffix, let list = try node.list("keys_\(suffix)", as: T.self), !list.isEmpty {
      return list
    }
    guard let tensor = try node.tensor("keys_tensor"), tensor.type == T.tensorType else {
      throw node.error(.malformed, "no keys of type \(T.tensorType.onnxName)")
    }
    return tensor.values()
  }

  private static func table<Key: TensorElement, Hash: Hashable & Sendable>(
    _ node: Node, _ info: ValueInfo, _ keys: [Key], _ hash: @escaping @Sendable (Key) -> Hash
  ) throws(ModelError) -> (LookUp, [ValueInfo]) {
    if let values = try node.list("values_strings", as: String.self), !values.isEmpty {
      let missing = try node.string("default_string", default: "_Unused")
      return try table(node, info, keys: keys, values: values, missing: missing, hash: hash)
    }
    if let values = try node.list("values_int64s", as: Int64.self), !values.isEmpty {
      let missing = Int64(try node.int("default_int64", default: -1))
      return try table(node, info, keys: keys, values: values, missing: missing, hash: hash)
    }
    if let values = try node.list("values_floats", as: Float.self), !values.isEmpty {
      let missing = try node.float("default_float", default: -0.0)
      return try table(node, info, keys: keys, values: values, missing: missing, hash: hash)
    }
    guard let values = try node.tensor("values_tensor") else {
      throw node.error(.malformed, "no values")
    }
    func fromTensor<V: TensorElement>(
      _ type: V.Type, _ otherwise: V
    ) throws(ModelError) -> (LookUp, [ValueInfo]) {
      var missing = otherwise
      if let tensor = try node.tensor("default_tensor"), tensor.type == V.tensorType,
        let first = tensor.values(as: V.self).first
      {
        missing = first
      }
      return try table(
        node, info, keys: keys, values: values.values(as: V.self), missing: missing, hash: hash)
    }
    switch values.type {
    case .float32: return try fromTensor(Float.self, -0.0)
    case .float64: return try fromTensor(Double.self, -0.0)
    case .int64: return try fromTensor(Int64.self, -1)
    case .int32: return try fromTensor(Int32.self, -1)
    case .string: return try fromTensor(String.self, "_Unused")
    case .bool: return try fromTensor(Bool.self, false)
    default:
      throw node.error(
        .unsupported, "values of type \(values.type.onnxName) are not supported")
    }
  }

  private static func table<Key: TensorElement, Value: TensorElement, Hash: Hashable & Sendable>(
    _ node: Node, _ info: ValueInfo, keys: [Key], values: [Value], missing: Value,
    hash: @escaping @Sendable (Key) -> Hash
  ) throws(ModelError) -> (LookUp, [ValueInfo]) {
    guard keys.count == values.count else {
      throw node.error(.malformed, "\(keys.count) keys for \(values.count) values")
    }
    // The first of equal keys counts.
    let table = Dictionary(zip(keys.map(hash), values), uniquingKeysWith: { first, _ in first })
    let lookUp: LookUp = { source, target in
      let from: UnsafeMutablePointer<Key> = source.pointer()
      let to: UnsafeMutablePointer<Value> = target.pointer()
      for i in 0..<source.count { to[i] = table[hash(from[i])] ?? missing }
    }
    return (lookUp, [try node.output(Value.tensorType, info.shape)])
  }

  func run(_ call: Call) { lookUp(call.input(0), call.output(0)) }
}

extension Node {
  /// A list attribute of the element type; nil where it is absent.
  fileprivate func list<T: TensorElement>(
    _ name: String, as type: T.Type
  ) throws(ModelError) -> [T]? {
    switch T.tensorType {
    case .string: try strings(name) as? [T]
    case .int64: try ints(name)?.map(Int64.init) as? [T]
    case .float32: try floats(name) as? [T]
    default: nil
    }
  }
}

/// TopK: the greatest or least elements of an axis and their places; of equals the first comes
/// first.
struct TopK: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let count: Int
  private let isLargest: Bool

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isNumeric else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    axis = try node.axis(node.int("axis", default: -1), rank: info.shape.rank)
    guard info.shape.rowAxis != axis else {
      throw node.mixing("rows are sorted against each other")
    }
    let given = try node.opset < 10 ? node.int("k") : node.constantInts(input: 1)?.first
    guard let given, (0...info.shape.dims[axis]).contains(given) else {
      throw node.error(.malformed, "k is not within the axis")
    }
    count = given
    isLargest = try node.int("largest", default: 1) != 0
    var dims = info.shape.dims
    dims[axis] = given
    let shape = Shape(dims, rowAxis: info.shape.rowAxis)
    outputs = [try node.output(info.type, shape), try node.output(.int64, shape)]
  }

  func run(_ call: Call) {
    switch call.input(0).type {
    case .float32: sort(call, Float.self)
    case .float64: sort(call, Double.self)
    case .int64: sort(call, Int64.self)
    case let type: if let integer = type.integer { sortIntegers(call, integer) }
    }
  }

  private func sortIntegers<T: IntegerElement>(_ call: Call, _ type: T.Type) { sort(call, type) }

  private func sort<T: Comparable & TensorElement>(_ call: Call, _ type: T.Type) {
    let source: UnsafeMutablePointer<T> = call.input(0).pointer()
    let target: UnsafeMutablePointer<T> = call.output(0).pointer()
    let places = call.output(1).int64s
    let dims = call.input(0).dims
    let size = dims[axis]
    let inner = dims[(axis + 1)...].reduce(1, *)
    var best: [(value: T, place: Int)] = []
    for outer in 0..<dims[..<axis].reduce(1, *) {
      for i in 0..<inner {
        let base = outer * size * inner + i
        best.removeAll(keepingCapacity: true)
        for place in 0..<size { keep((source[base + place * inner], place), in: &best) }
        for (rank, entry) in best.enumerated() {
          let to = (outer * count + rank) * inner + i
          target[to] = entry.value
          places[to] = Int64(entry.place)
        }
      }
    }
  }

  /// Puts an entry into the sorted best ones; what compares with nothing (NaN) counts as the
  /// greatest.
  @inline(__always)
  private func keep<T: Comparable>(
    _ entry: (value: T, place: Int), in best: inout [(value: T, place: Int)]
  ) {
    func isBefore(_ a: T, _ b: T) -> Bool {
      if a < b { return !isLargest }
      if a > b { return isLargest }
      if a == b { return false }
      let (first, second) = (a != a, b != b)
      return first == second ? false : first == isLargest
    }
    guard count > 0 else { return }
    if best.count == count {
      guard isBefore(entry.value, best[count - 1].value) else { return }
      best.removeLast()
    }
    var (low, high) = (0, best.count)
    while low < high {
      let middle = (low + high) / 2
      if isBefore(entry.value, best[middle].value) { high = middle } else { low = middle + 1 }
    }
    best.insert(entry, at: low)
  }
}

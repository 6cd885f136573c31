/// CumSum and CumProd: sums or products up to each place of an axis; floating-point ones are kept in
/// double.
struct Cumulation: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let isProduct: Bool
  private let isExclusive: Bool
  private let isReversed: Bool

  static func factory(isProduct: Bool) -> OperatorFactory {
    { node throws(ModelError) in try Cumulation(node, isProduct: isProduct) }
  }

  private init(_ node: Node, isProduct: Bool) throws(ModelError) {
    let info = try node.input(0)
    guard info.type.isNumeric else {
      throw node.error(.unsupported, "input of type \(info.type.onnxName) is not supported")
    }
    guard let given = try node.constantInts(input: 1)?.first else {
      throw node.error(.malformed, "no axis")
    }
    axis = try node.axis(given, rank: info.shape.rank)
    guard info.shape.rowAxis != axis else {
      throw node.mixing("rows are added to each other")
    }
    self.isProduct = isProduct
    isExclusive = try node.int("exclusive", default: 0) != 0
    isReversed = try node.int("reverse", default: 0) != 0
    outputs = [try node.output(info.type, info.shape)]
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    switch input.type {
    case .float32:
      walk(input.dims, isProduct ? 1.0 : 0) {
        $0 = isProduct ? $0 * Double(input.floats[$1]) : $0 + Double(input.floats[$1])
      } write: {
        out.floats[$0] = Float($1)
      }
    case .float64:
      walk(input.dims, isProduct ? 1.0 : 0) {
        $0 = isProduct ? $0 * input.doubles[$1] : $0 + input.doubles[$1]
      } write: {
        out.doubles[$0] = $1
      }
    case let type: if let integer = type.integer { integers(call, integer) }
    }
  }

  private func integers<T: IntegerElement>(_ call: Call, _ type: T.Type) {
    let from: UnsafeMutablePointer<T> = call.input(0).pointer()
    let to: UnsafeMutablePointer<T> = call.output(0).pointer()
    walk(call.input(0).dims, isProduct ? T(1) : T(0)) {
      $0 = isProduct ? $0 &* from[$1] : $0 &+ from[$1]
    } write: {
      to[$0] = $1
    }
  }

  private func walk<Sum>(
    _ dims: [Int], _ start: Sum, _ add: (inout Sum, Int) -> Void, write: (Int, Sum) -> Void
  ) {
    let size = dims[axis]
    let inner = dims[(axis + 1)...].reduce(1, *)
    for outer in 0..<dims[..<axis].reduce(1, *) {
      for i in 0..<inner {
        var sum = start
        for step in 0..<size {
          let at = (outer * size + (isReversed ? size - 1 - step : step)) * inner + i
          if isExclusive { write(at, sum) }
          add(&sum, at)
          if !isExclusive { write(at, sum) }
        }
      }
    }
  }
}

/// com.microsoft Solve: x of A x = b for a constant A, as scikit-learn's Gaussian processes export it.
///
/// A is factored once, at load, in double, with the greatest pivot of each column. Columns of b
/// stay apart, so they may be the rows of a batch.
///
/// - Complexity: n² a column; n³ / 3 at load.
struct Solve: Operator {
  let outputs: [ValueInfo]
  private let size: Int
  /// Below the diagonal the factors of elimination, on it and above it what is left of A.
  private let factors: [Double]
  /// The row of A that stands at each place.
  private let order: [Int]

  private static let mostRows = 4096

  init(_ node: Node) throws(ModelError) {
    let a = try node.input(0, .float32, .float64)
    let b = try node.input(1, .float32, .float64)
    guard let constant = a.constant, var matrix = constant.doubles else {
      throw node.error(.unsupported, "a matrix that is not constant is not supported")
    }
    guard constant.dims.count == 2, constant.dims[0] == constant.dims[1],
      (1...Self.mostRows).contains(constant.dims[0])
    else {
      throw node.error(.malformed, "a matrix of \(constant.dims), at most \(Self.mostRows) square")
    }
    size = constant.dims[0]
    guard (1...2).contains(b.shape.rank), b.shape.dims[0] == size, b.shape.rowAxis ?? 1 == 1 else {
      throw node.error(.unsupported, "\(size) equations for results of shape \(b.shape)")
    }
    if try node.int("transposed", default: 0) != 0 {
      let rows = matrix
      for i in 0..<size { for j in 0..<size { matrix[i * size + j] = rows[j * size + i] } }
    }
    guard let order = Self.factor(&matrix, size) else {
      throw node.error(.malformed, "the matrix is singular")
    }
    (factors, self.order) = (matrix, order)
    outputs = [try node.output(b.type, b.shape)]
  }

  /// Gauss elimination in place; nil where a column has no pivot.
  private static func factor(_ matrix: inout [Double], _ size: Int) -> [Int]? {
    var order = Array(0..<size)
    for column in 0..<size {
      var best = column
      for row in column..<size
      where matrix[row * size + column].magnitude > matrix[best * size + column].magnitude {
        best = row
      }
      let pivot = matrix[best * size + column]
      guard pivot.isFinite, pivot != 0 else { return nil }
      if best != column {
        order.swapAt(best, column)
        for j in 0..<size { matrix.swapAt(best * size + j, column * size + j) }
      }
      for row in (column + 1)..<max(size, column + 1) {
        let factor = matrix[row * size + column] / pivot
        matrix[row * size + column] = factor
        guard factor != 0 else { continue }
        for j in (column + 1)..<max(size, column + 1) {
          matrix[row * size + j] -= factor * matrix[column * size + j]
        }
      }
    }
    return order
  }

  func scratchByteCount(rows: Int) -> Int { outputs[0].shape.elementCount(rows: rows) * 8 }

  func run(_ call: Call) {
    let (source, target) = (call.input(1), call.output(0))
    let columns = source.count / size
    let x = call.scratch.assumingMemoryBound(to: Double.self)
    for i in 0..<size {
      for j in 0..<columns { x[i * columns + j] = source.double(order[i] * columns + j) }
      for k in 0..<i { subtract(factors[i * size + k], x + k * columns, x + i * columns, columns) }
    }
    for i in (0..<size).reversed() {
      for k in (i + 1)..<max(size, i + 1) {
        subtract(factors[i * size + k], x + k * columns, x + i * columns, columns)
      }
      for j in 0..<columns { x[i * columns + j] /= factors[i * size + i] }
    }
    for i in 0..<target.count { target.set(i, x[i]) }
  }

  private func subtract(
    _ factor: Double, _ from: UnsafeMutablePointer<Double>, _ to: UnsafeMutablePointer<Double>,
    _ count: Int
  ) {
    for j in 0..<count { to[j] -= factor * from[j] }
  }
}

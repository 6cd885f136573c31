#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// Gauss's quadrature on (0, 1): sums over its nodes are the integrals of polynomials up to degree
/// `2 · order - 1`, but for rounding.
struct GaussLegendre: Sendable {
  /// Ascending.
  let nodes: [Double]
  /// One minus each node, to full precision near 1 also.
  let complements: [Double]
  let weights: [Double]

  /// The least order that is exact for products of `factors` linear factors.
  static func order(factors: Int) -> Int { factors / 2 + 1 }

  /// - Complexity: Quadratic in the order.
  init(order: Int) {
    var nodes = [Double](repeating: 0, count: order)
    var weights = nodes
    for index in 0..<((order + 1) / 2) {
      // The roots of Legendre's polynomial by Newton's method, from Tricomi's first guess.
      var x = cos(Double.pi * (Double(index) + 0.75) / (Double(order) + 0.5))
      var slope = 1.0
      for _ in 0..<100 {
        var (previous, value) = (1.0, x)
        for k in 1..<max(order, 1) {
          let next = (Double(2 * k + 1) * x * value - Double(k) * previous) / Double(k + 1)
          (previous, value) = (value, next)
        }
        slope = Double(order) * (x * value - previous) / (x * x - 1)
        let step = value / slope
        x -= step
        if step.magnitude < 1e-16 { break }
      }
      let weight = 1 / ((1 - x * x) * slope * slope)
      nodes[index] = (1 - x) / 2
      nodes[order - 1 - index] = (1 + x) / 2
      (weights[index], weights[order - 1 - index]) = (weight, weight)
    }
    self.nodes = nodes
    complements = nodes.reversed()
    self.weights = weights
  }
}

internal import CKernels

/// Probabilities of classes from decisions between their pairs.
///
/// The method is the second of Wu, Lin and Weng, "Probability Estimates for Multi-class
/// Classification by Pairwise Coupling" (2004), iterated as libsvm does.
enum PairwiseCoupling {
  /// For the matrix of pairs, the quadratic form, its product and the estimate, all doubles.
  static func scratchByteCount(classes: Int) -> Int { (2 * classes * classes + 2 * classes) * 8 }

  /// Writes `classes` probabilities from one sum for each pair (0 against 1, 0 against 2, ...).
  ///
  /// - Parameters:
  ///   - a: The slope of Platt's sigmoid for each pair; `b` is its offset.
  static func probabilities(
    of sums: UnsafeMutablePointer<Double>, a: [Double], b: [Double], classes: Int,
    into out: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
  ) {
    let r = scratch.assumingMemoryBound(to: Double.self)
    var pair = 0
    for i in 0..<classes {
      for j in (i + 1)..<max(classes, i + 1) {
        let probability = ck_logistic(-(sums[pair] * a[pair] + b[pair]))
        let bounded = min(max(probability, 1e-7), 1 - 1e-7)
        r[i * classes + j] = bounded
        r[j * classes + i] = 1 - bounded
        pair += 1
      }
    }
    let p = couple(r, classes)
    for index in 0..<classes { out[index] = Float(p[index]) }
  }

  /// Minimises the disagreement with the pairs; `r` is followed by room for the rest.
  private static func couple(
    _ r: UnsafeMutablePointer<Double>, _ classes: Int
  ) -> UnsafeMutablePointer<Double> {
    let q = r + classes * classes
    let qp = q + classes * classes
    let p = qp + classes
    for i in 0..<classes {
      p[i] = 1 / Double(classes)
      q[i * classes + i] = 0
      for j in 0..<classes where j != i {
        q[i * classes + i] += r[j * classes + i] * r[j * classes + i]
        q[i * classes + j] = -r[j * classes + i] * r[i * classes + j]
      }
    }
    let tolerance = 0.005 / Double(classes)
    for _ in 0..<max(100, classes) {
      var pqp = 0.0
      for i in 0..<classes {
        qp[i] = 0
        for j in 0..<classes { qp[i] += q[i * classes + j] * p[j] }
        pqp += p[i] * qp[i]
      }
      var error = 0.0
      for i in 0..<classes { error = max(error, abs(qp[i] - pqp)) }
      if error < tolerance { break }
      for i in 0..<classes {
        let diagonal = q[i * classes + i]
        let step = (pqp - qp[i]) / diagonal
        p[i] += step
        pqp = (pqp + step * (step * diagonal + 2 * qp[i])) / (1 + step) / (1 + step)
        for j in 0..<classes {
          qp[j] = (qp[j] + step * q[i * classes + j]) / (1 + step)
          p[j] /= 1 + step
        }
      }
    }
    return p
  }
}

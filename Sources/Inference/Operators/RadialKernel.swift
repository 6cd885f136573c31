internal import CKernels

/// exp(-gamma * squared distance) to many points, in floats; for machines that are large enough for
/// the double kernels to cost time.
///
/// Differences are taken before they are squared, so that a float's precision is one of the distance.
struct RadialKernel: Sendable {
  /// Fewer numbers than these in all points are left to the double kernels.
  static let leastNumbers = 1024
  /// A gamma beyond these is left to them too: its kernel values grow with the distance, or are all
  /// but zero.
  private static let gammas = 0.0...1e30

  private let points: LayerPanels
  private let gamma: Float
  /// Weights of the points, where they are summed up in one way only.
  private let weights: TensorBuffer?
  private let offset: Double

  /// Nil where the points are few, or gamma is an unusual one.
  init?(points: Panels, gamma: Double, weights: Panels, offsets: [Double]) {
    guard points.depth * points.columns >= Self.leastNumbers, Self.gammas.contains(gamma) else {
      return nil
    }
    self.points = LayerPanels(points, bias: nil)
    self.gamma = Float(gamma)
    guard weights.columns == 1 else {
      (self.weights, offset) = (nil, 0)
      return
    }
    let width = CK_LAYER_PANEL
    let padded = (points.columns + width - 1) / width * width
    let buffer = TensorBuffer(.float32, capacity: padded)
    let target = buffer.base.assumingMemoryBound(to: Float.self)
    for point in 0..<points.columns { target[point] = Float(weights.weight(point, 0)) }
    (self.weights, offset) = (buffer, offsets[0])
  }

  /// Bytes a row that `sum` wants.
  func scratchByteCount(rows: Int) -> Int { weights == nil ? rows * points.columns * 4 : 0 }

  /// `sums[row * weights.columns + column]` = the weighted sum of the row's kernel values.
  func sum(
    _ rows: UnsafePointer<Float>, rowCount: Int, weights panels: Panels, offsets: [Double],
    scratch: UnsafeMutableRawPointer, into sums: UnsafeMutablePointer<Double>
  ) {
    if let weights {
      ck_rbf_sum_f32(
        rows, rowCount, points.depth, points.pointer, points.columns, gamma,
        weights.base.assumingMemoryBound(to: Float.self), sums)
      for row in 0..<rowCount { sums[row] += offset }
      return
    }
    let values = scratch.assumingMemoryBound(to: Float.self)
    ck_rbf_f32(
      rows, rowCount, points.depth, points.pointer, points.columns, gamma, values)
    ck_dot_f32(values, rowCount, points.columns, panels.pointer, panels.columns, sums)
    for row in 0..<rowCount {
      for column in 0..<panels.columns { sums[row * panels.columns + column] += offsets[column] }
    }
  }
}

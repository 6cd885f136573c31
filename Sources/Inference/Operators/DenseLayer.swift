internal import CKernels

/// A layer of a neural network in one pass: rows times weights, plus a bias, through an activation.
///
/// Computed in floats, as the networks were trained: fused multiply-adds in the order of the inner
/// axis. Made by `Graph.fuseLayers` of MatMul or Gemm, Add and Relu.
struct DenseLayer: Operator {
  let outputs: [ValueInfo]
  private let weights: LayerPanels
  private let isRectified: Bool

  /// - Parameter info: What the layer gives, as the last of the fused steps has it.
  init(_ info: ValueInfo, _ weights: LayerPanels, isRectified: Bool) {
    outputs = [ValueInfo(info.type, info.shape)]
    self.weights = weights
    self.isRectified = isRectified
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let rows = out.count / max(weights.columns, 1)
    ck_layer_f32(
      input.floats, rows, weights.depth, weights.pointer, weights.columns, weights.bias,
      isRectified ? 1 : 0, out.floats)
  }
}

/// Weights and biases of a layer, or the points of a kernel, packed for the float kernels.
struct LayerPanels: Sendable {
  let depth: Int
  let columns: Int
  private let buffer: TensorBuffer
  private let biasBuffer: TensorBuffer

  init(depth: Int, columns: Int, bias: [Double]?, _ weight: (Int, Int) -> Double) {
    (self.depth, self.columns) = (depth, columns)
    let width = CK_LAYER_PANEL
    buffer = TensorBuffer(.float32, capacity: ck_layer_panel_size(depth, columns))
    biasBuffer = TensorBuffer(.float32, capacity: (columns + width - 1) / width * width)
    let target = buffer.base.assumingMemoryBound(to: Float.self)
    for column in 0..<columns {
      let panel = target + (column / width) * width * depth + column % width
      for k in 0..<depth { panel[k * width] = Float(weight(k, column)) }
    }
    let biases = biasBuffer.base.assumingMemoryBound(to: Float.self)
    for (column, value) in (bias ?? []).enumerated() { biases[column] = Float(value) }
  }

  init(_ panels: Panels, bias: [Double]?) {
    self.init(depth: panels.depth, columns: panels.columns, bias: bias, panels.weight)
  }

  var pointer: UnsafeMutablePointer<Float> { buffer.base.assumingMemoryBound(to: Float.self) }
  var bias: UnsafeMutablePointer<Float> { biasBuffer.base.assumingMemoryBound(to: Float.self) }
}

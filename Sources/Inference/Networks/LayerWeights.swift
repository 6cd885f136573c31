internal import CKernels

/// Weights of a convolution over blocks of channels by the engine's own kernels, and how it ends.
struct LayerWeights: Sendable {
  /// Whether the result is added to what its memory holds, and whether negative numbers become zero.
  let adds: Bool
  let rectifies: Bool
  private let packedBuffer: TensorBuffer
  /// The bias, then as many zeros.
  private let biases: TensorBuffer

  /// - Returns: nil where the layer ends in another way, or nothing was packed.
  init?(
    stages: [LayerStage], bias: [Float]?, filters: Int, pack: () -> TensorBuffer?
  ) {
    var rest = stages
    adds = rest.first == .sum
    if adds { rest.removeFirst() }
    rectifies = rest.first == .function(.relu(slope: 0))
    if rectifies { rest.removeFirst() }
    guard rest.isEmpty, let packed = pack() else { return nil }
    packedBuffer = packed
    let width = (filters + Int(CK_LAYER_PANEL) - 1) / Int(CK_LAYER_PANEL) * Int(CK_LAYER_PANEL)
    biases = TensorBuffer(.float32, capacity: 2 * width)
    let target = biases.base.assumingMemoryBound(to: Float.self)
    for (index, value) in (bias ?? []).enumerated() { target[index] = value }
  }

  var packed: UnsafePointer<Float> {
    UnsafePointer(packedBuffer.base.assumingMemoryBound(to: Float.self))
  }
  var count: Int { packedBuffer.capacity }
  var bias: UnsafePointer<Float> {
    UnsafePointer(biases.base.assumingMemoryBound(to: Float.self))
  }
  var zeros: UnsafePointer<Float> { bias + biases.capacity / 2 }
  var byteCount: Int { (packedBuffer.capacity + biases.capacity) * 4 }
}

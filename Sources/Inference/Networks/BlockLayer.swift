/// A convolution over blocks of channels, before a kernel of the engine's own takes it.
struct BlockLayer {
  let plain: Convolution
  /// What follows it in the same pass.
  let stages: [LayerStage]
  /// Channels of a block.
  let block: Int
  let bias: [Float]?
  /// As the file has them.
  let weights: Tensor
  let store: WeightStore

  /// The weights in a kernel's form, and how the layer ends.
  ///
  /// - Parameters:
  ///   - count: Floats of that form.
  ///   - fill: Writes them; not called where the store has them already.
  /// - Returns: nil where the layer ends in another way than the kernels do.
  func packed(_ count: Int, _ fill: (UnsafeMutablePointer<Float>) -> Void) -> LayerWeights? {
    LayerWeights(stages: stages, bias: bias, filters: plain.filters) {
      store.packed(weights, form: nil) {
        let buffer = TensorBuffer(.float32, capacity: count)
        fill(buffer.base.assumingMemoryBound(to: Float.self))
        return buffer
      }
    }
  }
}

internal import CKernels

/// The weights of one direction of a recurrent layer, packed for the kernels of layers.
struct RecurrentWeights: Sendable {
  /// A matrix [columns, depth] as panels.
  struct Panels: Sendable {
    let depth: Int
    let columns: Int
    let buffer: TensorBuffer

    var base: UnsafeMutablePointer<Float> { buffer.base.assumingMemoryBound(to: Float.self) }

    /// - Parameter source: `columns` rows of `depth` floats.
    init(_ source: UnsafePointer<Float>, depth: Int, columns: Int) {
      (self.depth, self.columns) = (depth, columns)
      let width = Int(CK_LAYER_PANEL)
      buffer = TensorBuffer(.float32, capacity: max(ck_layer_panel_size(depth, columns), 1))
      for first in stride(from: 0, to: columns, by: width) {
        let panel = base + first * depth
        for column in first..<min(first + width, columns) {
          for k in 0..<depth { panel[k * width + column - first] = source[column * depth + k] }
        }
      }
    }
  }

  /// Of the elements of the sequence.
  let input: Panels
  /// Of the state: of all gates, or of those that are computed before the others.
  let state: Panels
  /// Of the state that a GRU's reset gate has gone through.
  let candidate: Panels?

  /// - Parameters:
  ///   - w, r: The direction's part of W and R.
  ///   - sizes: Elements of an input, of the state, and gates.
  init(
    w: UnsafePointer<Float>, r: UnsafePointer<Float>,
    sizes: (input: Int, hidden: Int, gates: Int), partsCandidate: Bool
  ) {
    let columns = sizes.gates * sizes.hidden
    input = Panels(w, depth: sizes.input, columns: columns)
    let first = partsCandidate ? 2 * sizes.hidden : columns
    state = Panels(r, depth: sizes.hidden, columns: first)
    candidate =
      partsCandidate
      ? Panels(r + first * sizes.hidden, depth: sizes.hidden, columns: sizes.hidden) : nil
  }

  var byteCount: Int {
    (input.buffer.capacity + state.buffer.capacity + (candidate?.buffer.capacity ?? 0)) * 4
  }
}

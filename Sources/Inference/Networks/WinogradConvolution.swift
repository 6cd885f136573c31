internal import CKernels

/// A convolution of 3 x 3 taps over blocks of channels by Winograd's filtering, which takes less than
/// half of the products: what oneDNN has for AVX-512 alone.
struct WinogradConvolution: Operator {
  let outputs: [ValueInfo]
  private let form: ck_winograd
  private let weights: LayerWeights

  var overwrites: Int? { weights.adds ? 1 : nil }
  var constantByteCount: Int { weights.byteCount }

  /// Tiles of 2 x 2 outputs below which the weights, of which there are more than those of the plain
  /// form, take longer to be read than products are saved.
  private static let leastTiles = 36
  private static let leastChannels = 32
  /// What a pass over the weights works on: about a core's second-level cache, or that of several.
  private static let passByteCount = (alone: 1 << 20, together: 1 << 23)
  private static let matrices = Int(CK_WINOGRAD_MATRICES)
  private static let block = Int(CK_WINOGRAD_BLOCK)

  /// - Parameter pack: Keeps what is packed, or knows it already.
  /// - Returns: nil where the plain form is as good, or there is no such form.
  init?(
    _ plain: Convolution, stages: [LayerStage], block: Int, bias: [Float]?, weights: Tensor,
    pack: (_ make: () -> TensorBuffer?) -> TensorBuffer?
  ) {
    let (window, channels, filters) = (plain.window, plain.channels, plain.filters)
    guard block == Self.block, plain.groups == 1, window.kernel == [3, 3],
      window.strides == [1, 1], window.dilations == [1, 1], channels >= Self.leastChannels,
      filters >= Self.leastChannels, channels % block == 0, filters % block == 0,
      (window.output[0] + 1) / 2 * ((window.output[1] + 1) / 2) >= Self.leastTiles
    else { return nil }
    let made = LayerWeights(stages: stages, bias: bias, filters: filters) {
      pack {
        let buffer = TensorBuffer(
          .float32, capacity: ck_winograd_weight_size(channels, filters))
        ck_winograd_pack(
          weights.view.floats, channels, filters,
          buffer.base.assumingMemoryBound(to: Float.self))
        return buffer
      }
    }
    guard let made else { return nil }
    self.weights = made
    outputs = plain.outputs
    form = ck_winograd(
      channels: Int64(channels), height: Int64(window.input[0]), width: Int64(window.input[1]),
      filters: Int64(filters), out_height: Int64(window.output[0]),
      out_width: Int64(window.output[1]), pad_top: Int64(window.begin[0]),
      pad_left: Int64(window.begin[1]))
  }

  /// Tiles of a row, and rows of them.
  private var tileColumns: Int { Int(form.out_width + 1) / 2 }
  private var tileRows: Int { Int(form.out_height + 1) / 2 }

  /// Bytes of the matrices of a row of tiles.
  private var rowByteCount: Int {
    tileColumns * Int(form.channels + form.filters) * Self.matrices * 4
  }

  /// Rows of tiles of a pass, of which there are as few as fit.
  private func passRows(_ byteCount: Int) -> Int {
    let most = max(byteCount / rowByteCount, 1)
    let passes = (tileRows + most - 1) / most
    return (tileRows + passes - 1) / passes
  }

  func scratchByteCount(rows: Int) -> Int {
    max(passRows(Self.passByteCount.alone), passRows(Self.passByteCount.together)) * rowByteCount
  }

  func run(_ call: Call) {
    let (channels, filters) = (Int(form.channels), Int(form.filters))
    let most = passRows(
      call.threads > 1 ? Self.passByteCount.together : Self.passByteCount.alone)
    let (packed, bias, zeros) = (weights.packed, weights.bias, weights.zeros)
    let matrixSize = weights.count / Self.matrices
    let scratch = call.scratch.assumingMemoryBound(to: Float.self)
    let (adds, relu): (Int32, Int32) = (weights.adds ? 1 : 0, weights.rectifies ? 1 : 0)
    let (from, to) = (call.input(0).floats, call.output(0).floats)
    let (sourceSize, targetSize) = (
      Int(form.height * form.width) * channels, Int(form.out_height * form.out_width) * filters
    )
    withUnsafePointer(to: form) { form in
      for image in 0..<call.input(0).dims[0] {
        let (source, target) = (from + image * sourceSize, to + image * targetSize)
        for first in stride(from: 0, to: tileRows, by: most) {
          let rows = min(most, tileRows - first)
          let tiles = rows * tileColumns
          let products = scratch + tiles * channels * Self.matrices
          shares(channels / Self.block, call.threads) { blocks in
            ck_winograd_source_f32(
              form, source, Int64(first), Int64(rows), Int64(blocks.lowerBound),
              Int64(blocks.upperBound), scratch, tiles * channels)
          }
          parallel(Self.matrices, threads: call.threads) { matrix in
            ck_layer_f32(
              scratch + matrix * tiles * channels, tiles, channels, packed + matrix * matrixSize,
              filters, zeros, 0, products + matrix * tiles * filters)
          }
          shares(filters / Self.block, call.threads) { blocks in
            ck_winograd_target_f32(
              form, products, tiles * filters, Int64(first), Int64(rows),
              Int64(blocks.lowerBound), Int64(blocks.upperBound), bias, adds, relu, target)
          }
        }
      }
    }
  }

  /// Runs `body` for shares of `count` things, two a thread.
  private func shares(_ count: Int, _ threads: Int, _ body: (Range<Int>) -> Void) {
    let parts = threads > 1 ? min(threads * 2, count) : 1
    parallel(parts, threads: threads) { part in
      body((count * part / parts)..<(count * (part + 1) / parts))
    }
  }
}

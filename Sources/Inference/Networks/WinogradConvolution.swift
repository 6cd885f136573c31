internal import CDNN
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
  /// What a pass over the weights works on, of a core's own.
  private static let passByteCount = 1600 << 10
  /// Tiles below which a thread rather takes less of the filters.
  private static let leastShare = 24
  private static let matrices = Int(CK_WINOGRAD_MATRICES)
  private static let block = Int(CK_WINOGRAD_BLOCK)

  /// - Returns: nil where the plain form is as good, or there is no such form.
  init?(_ layer: BlockLayer) {
    let (plain, window) = (layer.plain, layer.plain.window)
    let (channels, filters) = (plain.channels, plain.filters)
    guard layer.block == Self.block, plain.groups == 1, window.kernel == [3, 3],
      window.strides == [1, 1], window.dilations == [1, 1], channels >= Self.leastChannels,
      filters >= Self.leastChannels, channels % layer.block == 0, filters % layer.block == 0,
      (window.output[0] + 1) / 2 * ((window.output[1] + 1) / 2) >= Self.leastTiles
    else { return nil }
    let packed = layer.packed(ck_winograd_weight_size(channels, filters)) { target in
      ck_winograd_pack(layer.weights.view.floats, channels, filters, target)
    }
    guard let packed else { return nil }
    weights = packed
    outputs = plain.outputs
    form = ck_winograd(
      channels: Int64(channels), height: Int64(window.input[0]), width: Int64(window.input[1]),
      filters: Int64(filters), out_height: Int64(window.output[0]),
      out_width: Int64(window.output[1]), pad_top: Int64(window.begin[0]),
      pad_left: Int64(window.begin[1]))
  }

  func run(_ call: Call) {
    let panels = (Int(form.filters) + Int(CK_LAYER_PANEL) - 1) / Int(CK_LAYER_PANEL)
    let tiles = Int(withUnsafePointer(to: form) { ck_winograd_tiles($0) })
    // A thread keeps to its tiles from the source to the target; where there are few of them, several
    // make the same tiles of the source for filters of their own.
    let isShared = call.threads > 1
    let tileParts =
      isShared ? max(min(tiles / Self.leastShare, call.threads * 2), 1) : 1
    let panelParts = isShared ? min(max(call.threads / tileParts, 1), panels) : 1
    let images = call.input(0).dims[0]
    parallel(tileParts * panelParts, threads: call.threads) { part in
      let (place, share) = (part / panelParts, part % panelParts)
      let own = (tiles * place / tileParts)..<(tiles * (place + 1) / tileParts)
      let ownPanels = (panels * share / panelParts)..<(panels * (share + 1) / panelParts)
      for image in 0..<images { run(call, image: image, tiles: own, panels: ownPanels) }
    }
  }

  private func run(_ call: Call, image: Int, tiles: Range<Int>, panels: Range<Int>) {
    let channels = Int(form.channels)
    let width = Int(CK_LAYER_PANEL)
    let filters = min(panels.upperBound * width, Int(form.filters)) - panels.lowerBound * width
    let most = max(Self.passByteCount / ((channels + filters) * Self.matrices * 4), 1)
    let passes = (tiles.count + most - 1) / most
    let floats = (tiles.count + passes - 1) / passes * (channels + filters) * Self.matrices
    guard let scratch = dn_scratch(floats * 4)?.assumingMemoryBound(to: Float.self) else {
      preconditionFailure("no memory for the matrices of a layer")
    }
    let matrixSize = weights.count / Self.matrices
    let packed = weights.packed + panels.lowerBound * width * channels
    let source = call.input(0).floats + image * Int(form.height * form.width) * channels
    let target =
      call.output(0).floats + image * Int(form.out_height * form.out_width * form.filters)
    let first = Int64(panels.lowerBound * width / Self.block)
    withUnsafePointer(to: form) { form in
      for pass in 0..<passes {
        let start = tiles.lowerBound + tiles.count * pass / passes
        let count = tiles.lowerBound + tiles.count * (pass + 1) / passes - start
        let products = scratch + count * channels * Self.matrices
        ck_winograd_source_f32(
          form, source, Int64(start), Int64(count), scratch, count * channels)
        for matrix in 0..<Self.matrices {
          ck_layer_f32(
            scratch + matrix * count * channels, count, channels, packed + matrix * matrixSize,
            filters, weights.zeros, 0, products + matrix * count * filters)
        }
        ck_winograd_target_f32(
          form, products, count * filters, Int64(start), Int64(count), first,
          first + Int64(filters / Self.block), weights.bias, weights.adds ? 1 : 0,
          weights.rectifies ? 1 : 0, target)
      }
    }
  }
}

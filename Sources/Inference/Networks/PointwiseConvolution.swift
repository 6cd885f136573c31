internal import CKernels

/// A convolution of one tap over blocks of channels, which all cores share evenly however small the
/// image is.
struct PointwiseConvolution: Operator {
  let outputs: [ValueInfo]
  private let form: ck_pointwise
  private let weights: LayerWeights

  var overwrites: Int? { weights.adds ? 1 : nil }
  var constantByteCount: Int { weights.byteCount }

  private static let leastFilters = 64

  /// - Returns: nil where there is no such form.
  init?(_ layer: BlockLayer) {
    let (plain, window) = (layer.plain, layer.plain.window)
    let (channels, filters) = (plain.channels, plain.filters)
    let width = Int(CK_LAYER_PANEL)
    guard layer.block == Int(CK_POINTWISE_BLOCK), plain.groups == 1, window.kernel == [1, 1],
      window.begin == [0, 0], window.usedEnd.allSatisfy({ $0 <= 0 }), channels % layer.block == 0,
      filters >= Self.leastFilters, filters % width == 0
    else { return nil }
    let packed = layer.packed(ck_layer_panel_size(channels, filters)) { target in
      let from = layer.weights.view.floats
      for filter in 0..<filters {
        let column = target + filter / width * width * channels + filter % width
        for channel in 0..<channels {
          column[channel * width] = from[filter * channels + channel]
        }
      }
    }
    guard let packed else { return nil }
    weights = packed
    outputs = plain.outputs
    form = ck_pointwise(
      channels: Int64(channels), height: Int64(window.input[0]), width: Int64(window.input[1]),
      filters: Int64(filters), out_height: Int64(window.output[0]),
      out_width: Int64(window.output[1]), stride_y: Int64(window.strides[0]),
      stride_x: Int64(window.strides[1]))
  }

  func run(_ call: Call) {
    let panels = Int(form.filters) / Int(CK_LAYER_PANEL)
    let places = Int(form.out_height * form.out_width)
    // Each thread reads its share of what is more: the weights, or the image.
    let sharesWeights = Int(form.filters) > places
    let parts =
      call.threads > 1 ? min(call.threads * 2, sharesWeights ? panels : max(places / 48, 1)) : 1
    let images = call.input(0).dims[0]
    let (from, to) = (call.input(0).floats, call.output(0).floats)
    let (sourceSize, targetSize) = (
      Int(form.channels * form.height * form.width), Int(form.filters) * places
    )
    let (adds, relu): (Int32, Int32) = (weights.adds ? 1 : 0, weights.rectifies ? 1 : 0)
    let (packed, bias) = (weights.packed, weights.bias)
    withUnsafePointer(to: form) { form in
      parallel(parts, threads: call.threads) { part in
        let all = sharesWeights ? panels : places
        let own = (all * part / parts)..<(all * (part + 1) / parts)
        let ownPlaces = sharesWeights ? 0..<places : own
        let ownPanels = sharesWeights ? own : 0..<panels
        for image in 0..<images {
          ck_pointwise_f32(
            form, from + image * sourceSize, Int64(ownPlaces.lowerBound),
            Int64(ownPlaces.upperBound), packed, Int64(ownPanels.lowerBound),
            Int64(ownPanels.upperBound), bias, adds, relu, to + image * targetSize)
        }
      }
    }
  }
}

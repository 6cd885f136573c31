import CKernels
import Testing

/// Convolutions of one tap against the sums in double.
@Suite struct PointwiseTests {
  private struct Size: CustomTestStringConvertible {
    let channels, filters, height, width, strideY, strideX: Int
    var testDescription: String { "\(channels) to \(filters) channels, \(height) x \(width)" }
    var outHeight: Int { (height - 1) / strideY + 1 }
    var outWidth: Int { (width - 1) / strideX + 1 }
    var places: Int { outHeight * outWidth }
  }

  private static let sizes = [
    (8, 16, 1, 1, 1, 1), (16, 24, 3, 5, 1, 1), (264, 48, 2, 4, 1, 1), (24, 8, 9, 30, 1, 1),
    (520, 32, 7, 9, 2, 2), (16, 16, 20, 17, 1, 3),
  ].map {
    Size(
      channels: $0.0, filters: $0.1, height: $0.2, width: $0.3, strideY: $0.4, strideX: $0.5)
  }

  private static func floats(_ count: Int, _ seed: UInt64) -> [Float] {
    OperatorKernelTests.numbers(count, in: -1...1, seed: seed).map(Float.init)
  }

  @Test(
    "The kernel gives the sums in double, in any parts, as its scalar twin does", arguments: sizes)
  private func kernel(size: Size) {
    let (channels, filters, places) = (size.channels, size.filters, size.places)
    let image = Self.floats(channels * size.height * size.width, 1)
    let weights = Self.floats(channels * filters, 2)
    let before = Self.floats(filters * places, 3)
    let panels = (filters + 15) / 16
    let bias = Self.floats(panels * 16, 4)
    var packed = [Float](repeating: 0, count: ck_layer_panel_size(channels, filters))
    for filter in 0..<filters {
      for channel in 0..<channels {
        packed[filter / 16 * 16 * channels + channel * 16 + filter % 16] =
          weights[filter * channels + channel]
      }
    }
    var form = ck_pointwise(
      channels: Int64(channels), height: Int64(size.height), width: Int64(size.width),
      filters: Int64(filters), out_height: Int64(size.outHeight), out_width: Int64(size.outWidth),
      stride_y: Int64(size.strideY), stride_x: Int64(size.strideX))
    for (adds, relu) in [(Int32(0), Int32(0)), (0, 1), (1, 0), (1, 1)] {
      var (whole, scalar, parts) = (before, before, before)
      ck_pointwise_f32(
        &form, image, 0, Int64(places), packed, 0, Int64(panels), bias, adds, relu, &whole)
      ck_pointwise_f32_scalar(
        &form, image, 0, Int64(places), packed, 0, Int64(panels), bias, adds, relu, &scalar)
      let cut = Int64(places / 3)
      for (first, last) in [(cut, Int64(places)), (0, cut)] {
        for panel in 0..<Int64(panels) {
          ck_pointwise_f32(
            &form, image, first, last, packed, panel, panel + 1, bias, adds, relu, &parts)
        }
      }
      #expect(whole.map(\.bitPattern) == scalar.map(\.bitPattern))
      #expect(whole.map(\.bitPattern) == parts.map(\.bitPattern))
      for index in whole.indices {
        let filter = index / (8 * places) * 8 + index % 8
        let (y, x) = (index / 8 % places / size.outWidth, index / 8 % size.outWidth)
        let from = (y * size.strideY * size.width + x * size.strideX) * 8
        var (sum, scale) = (Double(bias[filter]), 1.0)
        for channel in 0..<channels {
          let place = channel / 8 * size.height * size.width * 8 + from + channel % 8
          let term = Double(image[place]) * Double(weights[filter * channels + channel])
          sum += term
          scale += abs(term)
        }
        if adds == 1 { sum += Double(before[index]) }
        if relu == 1 { sum = max(sum, 0) }
        #expect(abs(Double(whole[index]) - sum) < 1e-6 * scale)
      }
    }
  }
}

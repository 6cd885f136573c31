import CKernels
import Inference
import ModelFixtures
import Testing

/// Convolutions by Winograd's filtering against the plain sum.
@Suite struct WinogradTests {
  private struct Size: CustomTestStringConvertible {
    let channels, filters, height, width, top, left, bottom, right: Int
    var testDescription: String { "\(channels) to \(filters) channels, \(height) x \(width)" }
    var outHeight: Int { height + top + bottom - 2 }
    var outWidth: Int { width + left + right - 2 }
  }

  private static let sizes = [
    Size(channels: 8, filters: 8, height: 4, width: 4, top: 0, left: 0, bottom: 0, right: 0),
    Size(channels: 16, filters: 24, height: 7, width: 9, top: 1, left: 1, bottom: 1, right: 1),
    Size(channels: 24, filters: 16, height: 1, width: 3, top: 1, left: 2, bottom: 1, right: 0),
    Size(channels: 40, filters: 32, height: 12, width: 5, top: 0, left: 1, bottom: 2, right: 1),
  ]

  private static func floats(_ count: Int, _ seed: UInt64) -> [Float] {
    OperatorKernelTests.numbers(count, in: -1...1, seed: seed).map(Float.init)
  }

  @Test("The kernels give the sums in double, as their scalar twins do", arguments: sizes)
  private func kernels(size: Size) {
    let (channels, filters) = (size.channels, size.filters)
    let (image, weights) = (
      Self.floats(channels * size.height * size.width, 1), Self.floats(channels * filters * 9, 2)
    )
    let before = Self.floats(filters * size.outHeight * size.outWidth, 3)
    let bias = Self.floats(filters, 4)
    let wanted = plain(image, weights, size)
    var packed = [Float](repeating: 0, count: ck_winograd_weight_size(channels, filters))
    ck_winograd_pack(weights, channels, filters, &packed)
    var form = ck_winograd(
      channels: Int64(channels), height: Int64(size.height), width: Int64(size.width),
      filters: Int64(filters), out_height: Int64(size.outHeight), out_width: Int64(size.outWidth),
      pad_top: Int64(size.top), pad_left: Int64(size.left))
    let all = ck_winograd_tiles(&form)
    let zeros = [Float](repeating: 0, count: filters + 16)
    for (adds, relu) in [(Int32(0), Int32(0)), (0, 1), (1, 0), (1, 1)] {
      var (fast, scalar) = (before, before)
      // In two parts: some tiles, then the rest.
      for (first, count) in [(0, (all + 1) / 3), ((all + 1) / 3, all - (all + 1) / 3)]
      where count > 0 {
        let tiles = Int(count)
        var matrices = [Float](repeating: .nan, count: 16 * tiles * channels)
        var twin = matrices
        var products = [Float](repeating: .nan, count: 16 * tiles * filters)
        let step = tiles * channels
        ck_winograd_source_f32(&form, image, first, count, &matrices, step)
        ck_winograd_source_f32_scalar(&form, image, first, count, &twin, step)
        #expect(matrices.map(\.bitPattern) == twin.map(\.bitPattern))
        let size = packed.count / 16
        for matrix in 0..<16 {
          matrices.withUnsafeBufferPointer { matrices in
            packed.withUnsafeBufferPointer { packed in
              products.withUnsafeMutableBufferPointer { products in
                ck_layer_f32(
                  matrices.baseAddress! + matrix * step, tiles, channels,
                  packed.baseAddress! + matrix * size, filters, zeros, 0,
                  products.baseAddress! + matrix * tiles * filters)
              }
            }
          }
        }
        let made = Int64(filters / 8)
        ck_winograd_target_f32(
          &form, products, tiles * filters, first, count, 0, made, bias, adds, relu, &fast)
        ck_winograd_target_f32_scalar(
          &form, products, tiles * filters, first, count, 0, made, bias, adds, relu, &scalar)
      }
      #expect(fast.map(\.bitPattern) == scalar.map(\.bitPattern))
      for place in fast.indices {
        let filter = place / (8 * size.outHeight * size.outWidth) * 8 + place % 8
        var sum = wanted[place] + Double(bias[filter]) + (adds == 1 ? Double(before[place]) : 0)
        if relu == 1 { sum = max(sum, 0) }
        #expect(abs(Double(fast[place]) - sum) < 2e-5)
      }
    }
  }

  /// The definition, over images in blocks of eight channels.
  private func plain(_ image: [Float], _ weights: [Float], _ size: Size) -> [Double] {
    func place(_ channel: Int, _ y: Int, _ x: Int, _ height: Int, _ width: Int) -> Int {
      ((channel / 8 * height + y) * width + x) * 8 + channel % 8
    }
    var out = [Double](repeating: 0, count: size.filters * size.outHeight * size.outWidth)
    for filter in 0..<size.filters {
      for y in 0..<size.outHeight {
        for x in 0..<size.outWidth {
          var sum = 0.0
          for channel in 0..<size.channels {
            for tap in 0..<9 {
              let (v, u) = (y + tap / 3 - size.top, x + tap % 3 - size.left)
              guard v >= 0, v < size.height, u >= 0, u < size.width else { continue }
              sum +=
                Double(weights[(filter * size.channels + channel) * 9 + tap])
                * Double(image[place(channel, v, u, size.height, size.width)])
            }
          }
          out[place(filter, y, x, size.outHeight, size.outWidth)] = sum
        }
      }
    }
    return out
  }

  /// Convolutions with residuals, then one of one tap, of images of any size.
  private static func network() -> [UInt8] {
    var file = OnnxWriter(opset: 17)
    file.input("image", .float, [nil, 32, nil, nil])
    for (name, seed) in [("first", UInt64(5)), ("second", 6)] {
      file.initializer(
        name, .init(dims: [32, 32, 3, 3], .floats(floats(32 * 32 * 9, seed).map { $0 * 0.1 })))
      file.initializer(name + "_bias", .init(dims: [32], .floats(floats(32, seed + 10))))
    }
    file.node(
      "Conv", ["image", "first", "first_bias"], ["a"], [("pads", .ints([1, 1, 1, 1]))])
    file.node("Relu", ["a"], ["b"])
    file.node("Conv", ["b", "second", "second_bias"], ["c"], [("pads", .ints([1, 1, 1, 1]))])
    // What a layer reads, and what is older, is added to its result.
    file.node("Add", ["c", "b"], ["d"])
    file.node("Relu", ["d"], ["residual"])
    file.node(
      "Conv", ["residual", "first", "first_bias"], ["i"], [("pads", .ints([1, 1, 1, 1]))])
    file.node("Relu", ["i"], ["j"])
    file.node("Conv", ["j", "second"], ["k"], [("pads", .ints([1, 1, 1, 1]))])
    file.node("Add", ["residual", "k"], ["l"])
    file.node("Relu", ["l"], ["e"])
    file.initializer(
      "third", .init(dims: [64, 32, 1, 1], .floats(floats(64 * 32, 7).map { $0 * 0.1 })))
    file.node("Conv", ["e", "third"], ["f"], [("strides", .ints([2, 2]))])
    file.node("Relu", ["f"], ["g"])
    file.node("GlobalAveragePool", ["g"], ["h"])
    file.node("Flatten", ["h"], ["out"])
    file.output("out", .float, [nil, 64])
    return file.bytes()
  }

  @Test("A network of such layers is that of plain ones, for images of any size, on any threads")
  func network() throws {
    let fast = try Model.load(Self.network())
    let plain = try NetworkKernels.$isPlain.withValue(true) { try Model.load(Self.network()) }
    for (height, width) in [(16, 16), (21, 15), (16, 16), (5, 40)] {
      let rows = 5
      let column = Column(
        .float32(Self.floats(rows * 32 * height * width, UInt64(height))),
        shape: [32, height, width])
      let batch = Batch(rowCount: rows, columns: [column])
      let wanted = try NetworkKernels.$isPlain.withValue(true) {
        try plain.predict(batch, workspace: Workspace())
      }
      guard case .float32(let numbers) = wanted.columns[0].values else {
        Issue.record("not floats")
        return
      }
      for threads in [1, 2, 4] {
        let found = try fast.predict(batch, workspace: Workspace(threads: threads))
        #expect(found.failures.isEmpty)
        guard case .float32(let others) = found.columns[0].values else {
          Issue.record("not floats")
          return
        }
        #expect(zip(numbers, others).allSatisfy { abs($0 - $1) < 1e-4 })
      }
    }
  }
}

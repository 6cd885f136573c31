internal import CKernels

/// Brings 8-bit images to another size as Pillow's `Image.resize` does, in memory that it keeps.
///
/// Only the part that is wanted of the result is computed.
final class ImageResizer {
  /// A stretch of an axis of the result, of all `outputs`.
  struct Span {
    var inputs: Int
    var outputs: Int
    var wanted: Range<Int>
  }

  private var between = PixelBuffer()
  private var result = PixelBuffer()
  private var columnTaps = PixelBuffer()
  private var rowTaps = PixelBuffer()

  /// - Returns: Rows without gaps; void at the next call. May be the image itself.
  func resize(
    _ pixels: UnsafeMutablePointer<UInt8>, channels: Int, _ across: Span, _ down: Span,
    filter: ImageInput.Filter
  ) -> UnsafeMutablePointer<UInt8>? {
    if across.isWhole, down.isWhole { return pixels }
    return filter == .nearest
      ? pick(pixels, channels, across, down)
      : resample(pixels, channels, across, down, filter.kernel)
  }

  private func resample(
    _ pixels: UnsafeMutablePointer<UInt8>, _ channels: Int, _ across: Span, _ down: Span,
    _ filter: ck_filter
  ) -> UnsafeMutablePointer<UInt8>? {
    guard let rows = taps(down, filter, &rowTaps), let columns = taps(across, filter, &columnTaps)
    else { return nil }
    // The rows of the image that the wanted rows are made of.
    let last = down.wanted.count - 1
    let top = down.isSame ? down.wanted.lowerBound : Int(rows.first[0])
    let bottom =
      down.isSame ? down.wanted.upperBound : Int(rows.first[last]) + Int(rows.size[last])
    let width = across.wanted.count
    let source = pixels + top * across.inputs * channels
    var lines = source
    if !across.isSame {
      let target = between.memory((bottom - top) * width * channels)
      withUnsafePointer(to: columns) {
        ck_resample_rows(source, across.inputs, bottom - top, channels, $0, target)
      }
      lines = target
    } else if !across.isWhole {
      let target = between.memory((bottom - top) * width * channels)
      for row in 0..<(bottom - top) {
        (target + row * width * channels).update(
          from: source + (row * across.inputs + across.wanted.lowerBound) * channels,
          count: width * channels)
      }
      lines = target
    }
    if down.isSame { return lines }
    let target = result.memory(down.wanted.count * width * channels)
    withUnsafePointer(to: rows) {
      ck_resample_columns(lines, width * channels, UInt32(top), $0, target)
    }
    return target
  }

  private func pick(
    _ pixels: UnsafeMutablePointer<UInt8>, _ channels: Int, _ across: Span, _ down: Span
  ) -> UnsafeMutablePointer<UInt8> {
    func places(_ span: Span) -> [UInt32] {
      [UInt32](unsafeUninitializedCapacity: span.wanted.count) { target, count in
        ck_nearest_make(
          UInt32(span.inputs), UInt32(span.outputs), UInt32(span.wanted.lowerBound),
          UInt32(span.wanted.count), target.baseAddress)
        count = span.wanted.count
      }
    }
    let (columns, rows) = (places(across), places(down))
    let target = result.memory(rows.count * columns.count * channels)
    var out = target
    for row in rows {
      let line = pixels + Int(row) * across.inputs * channels
      for column in columns {
        let pixel = line + Int(column) * channels
        for channel in 0..<channels { out[channel] = pixel[channel] }
        out += channels
      }
    }
    return target
  }

  /// nil where they would take more than a gigabyte, which no allowed size does.
  private func taps(_ span: Span, _ filter: ck_filter, _ memory: inout PixelBuffer) -> ck_taps? {
    let (inputs, outputs) = (UInt32(span.inputs), UInt32(span.outputs))
    let count = UInt32(span.wanted.count)
    let size = ck_taps_bytes(inputs, outputs, count, filter)
    guard size > 0 else { return nil }
    var taps = ck_taps()
    ck_taps_make(
      inputs, outputs, UInt32(span.wanted.lowerBound), count, filter, memory.memory(size), &taps)
    return taps
  }

  /// Lets go of what only a very large image needed.
  func shrink() {
    between.shrink()
    result.shrink()
  }
}

extension ImageResizer.Span {
  /// Whether the axis keeps its length, though perhaps not all of it is wanted.
  fileprivate var isSame: Bool { inputs == outputs }
  fileprivate var isWhole: Bool { isSame && wanted == 0..<outputs }
}

extension ImageInput.Filter {
  fileprivate var kernel: ck_filter {
    switch self {
    case .nearest: CK_NEAREST
    case .box: CK_BOX
    case .bilinear: CK_BILINEAR
    case .hamming: CK_HAMMING
    case .bicubic: CK_BICUBIC
    case .lanczos: CK_LANCZOS
    }
  }
}

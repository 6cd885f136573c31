internal import CVision

/// Bounds on images, held against their headers before memory is taken for pixels.
public struct ImageLimits: Sendable {
  /// Of the encoded image.
  public var byteCount = 64 << 20
  /// Width times height. A pixel takes 3 bytes, and as many again while it is turned.
  public var pixelCount = 64_000_000
  public var side = 32_768

  public init() {}

  var c: cv_limits {
    cv_limits(
      byte_count: byteCount, pixel_count: UInt64(pixelCount), side: UInt32(clamping: side))
  }
}

/// Decodes JPEG, PNG and WebP into memory that it keeps from image to image; for one thread.
///
/// What is damaged or ends early is refused; never is an image half grey.
final class ImageDecoder {
  /// A decoded image, turned as its EXIF orientation says; void at the next call.
  struct Pixels {
    var width: Int
    var height: Int
    /// Rows of pixels without gaps.
    var base: UnsafeMutablePointer<UInt8>
  }

  private var decoded = PixelBuffer()
  private var turned = PixelBuffer()

  /// - Returns: 8-bit RGB, or one clause that says why the bytes are no image.
  func decode(
    _ bytes: UnsafeBufferPointer<UInt8>, limits: ImageLimits,
    upsampling: ImageInput.Upsampling = .triangle
  ) -> Result<Pixels, ImageFault> {
    var header = cv_header()
    var limits = limits.c
    let reason = ImageFault.Buffer()
    let base = bytes.baseAddress ?? UnsafePointer(reason.empty)
    guard cv_read_header(base, bytes.count, &limits, &header, reason.base) == 0 else {
      return .failure(reason.fault)
    }
    let (width, height) = (Int(header.width), Int(header.height))
    let target = decoded.memory(width * height * 3)
    let kind = upsampling == .dct ? CV_UPSAMPLE_DCT : CV_UPSAMPLE_TRIANGLE
    guard cv_decode(base, bytes.count, &limits, &header, kind, target, reason.base) == 0 else {
      return .failure(reason.fault)
    }
    guard header.orientation > 1 else {
      return .success(Pixels(width: width, height: height, base: target))
    }
    let seen = turned.memory(width * height * 3)
    cv_orient(target, header.width, header.height, 3, header.orientation, seen)
    return header.orientation > 4
      ? .success(Pixels(width: height, height: width, base: seen))
      : .success(Pixels(width: width, height: height, base: seen))
  }

  /// Lets go of what only a very large image needed.
  func shrink() {
    decoded.shrink()
    turned.shrink()
  }
}

/// Why bytes are no image that is read: one clause that holds none of them.
package struct ImageFault: Error, Equatable {
  package var reason: String

  /// Where C writes the clause.
  struct Buffer: ~Copyable {
    let base: UnsafeMutablePointer<CChar>
    /// An address for images without bytes.
    let empty: UnsafeMutablePointer<UInt8>

    init() {
      base = .allocate(capacity: Int(CV_REASON_SIZE))
      base.initialize(repeating: 0, count: Int(CV_REASON_SIZE))
      empty = .allocate(capacity: 1)
      empty.initialize(to: 0)
    }

    deinit {
      base.deallocate()
      empty.deallocate()
    }

    var fault: ImageFault { ImageFault(reason: String(cString: base)) }
  }
}

/// Bytes that grow with the largest image.
struct PixelBuffer: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>?
  private var capacity = 0
  /// What is kept from image to image.
  private static let mostKept = 48 << 20

  init() {}

  deinit { base?.deallocate() }

  /// At least so many bytes, aligned to 64; what was in them is void.
  mutating func memory(_ count: Int) -> UnsafeMutablePointer<UInt8> {
    if let base, count <= capacity { return base }
    base?.deallocate()
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(count, 4096), alignment: 64)
      .bindMemory(to: UInt8.self, capacity: max(count, 4096))
    (base, capacity) = (memory, max(count, 4096))
    return memory
  }

  mutating func shrink() {
    guard capacity > Self.mostKept else { return }
    base?.deallocate()
    (base, capacity) = (nil, 0)
  }
}

/// Writes JPEG, for examples and measurements.
package enum JPEGEncoder {
  /// - Parameter pixels: Rows of RGB, or of grey, without gaps.
  /// - Returns: nil where the sides are 0 or beyond what JPEG has.
  package static func encode(
    _ pixels: [UInt8], width: Int, height: Int, channels: Int, quality: Int = 90
  ) -> [UInt8]? {
    guard width > 0, height > 0, channels == 1 || channels == 3,
      pixels.count == width * height * channels
    else { return nil }
    // What hardly compresses takes a little more than its pixels.
    let capacity = pixels.count * 2 + 65_536
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { target, count in
      count = cv_encode_jpeg(
        pixels, UInt32(clamping: width), UInt32(clamping: height), UInt32(channels), Int32(quality),
        target.baseAddress, capacity)
    }
    return bytes.isEmpty ? nil : bytes
  }
}

internal import Glibc

/// Values of `numeric`, kept as the server sent them: exact as text, fast as `Double`.
public struct NumericVector: Sendable, Equatable {
  /// The images, in base 10000; see `numeric_send` in PostgreSQL's `numeric.c`.
  public let images: RawColumn

  init(_ images: RawColumn) throws(PostgresError) {
    for row in 0..<images.count where !images.isNull(row) {
      let image = images[row]
      guard image.count >= 8,
        image.count == 8 + 2
          * (Int(image[image.startIndex]) << 8 | Int(image[image.startIndex + 1]))
      else { throw .malformed("\(image.count) bytes as a numeric in row \(row)") }
    }
    self.images = images
  }

  init(taking rows: [Int], of other: NumericVector) { images = other.images.taking(rows: rows) }

  public var count: Int { images.count }

  /// Digits as PostgreSQL prints them, trailing zeros kept; `NaN`, `Infinity`, `-Infinity`. Empty
  /// for NULL.
  public func text(at row: Int) -> String {
    images.isNull(row) ? "" : images.withImage(row) { NumericImage($0).text }
  }

  /// The nearest `Double`, as PostgreSQL's cast; beyond its range infinite where the cast would
  /// fail. Zero for NULL.
  public func doubles() -> [Double] {
    (0..<count).map { double(at: $0) }
  }

  public func double(at row: Int) -> Double {
    images.isNull(row) ? 0 : images.withImage(row) { NumericImage($0).double }
  }
}

extension RawColumn {
  func withImage<R>(_ row: Int, _ body: (UnsafeRawPointer) -> R) -> R {
    bytes.withUnsafeBytes { body($0.baseAddress! + offsets[row]) }
  }
}

/// One value in the form of `numeric_send`: digit count, weight, sign, display scale, digits.
struct NumericImage {
  private let image: UnsafeRawPointer
  private let digitCount: Int
  /// The exponent, in base 10000, of the first digit.
  private let weight: Int
  private let sign: UInt16
  private let scale: Int

  init(_ image: UnsafeRawPointer) {
    self.image = image
    digitCount = Int(image.bigEndian(UInt16.self))
    weight = Int(image.bigEndian(Int16.self, at: 2))
    sign = image.bigEndian(UInt16.self, at: 4)
    scale = Int(image.bigEndian(UInt16.self, at: 6))
  }

  private func digit(_ index: Int) -> UInt16 {
    index >= 0 && index < digitCount ? image.bigEndian(UInt16.self, at: 8 + 2 * index) : 0
  }

  private var special: (text: String, value: Double)? {
    switch sign {
    case 0xC000: ("NaN", .nan)
    case 0xD000: ("Infinity", .infinity)
    case 0xF000: ("-Infinity", -.infinity)
    default: nil
    }
  }

  var text: String {
    if let special { return special.text }
    var out: [UInt8] = []
    if sign == 0x4000 { out.append(UInt8(ascii: "-")) }
    if weight < 0 {
      out.append(UInt8(ascii: "0"))
    } else {
      for index in 0...weight {
        let start = out.count
        Self.append(digit(index), to: &out)
        if index == 0 {
          while out.count - start > 1, out[start] == UInt8(ascii: "0") { out.remove(at: start) }
        }
      }
    }
    if scale > 0 {
      out.append(UInt8(ascii: "."))
      let start = out.count
      var index = weight + 1
      while out.count - start < scale {
        Self.append(digit(index), to: &out)
        index += 1
      }
      out.removeLast(out.count - start - scale)
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func append(_ digit: UInt16, to out: inout [UInt8]) {
    let zero = UInt8(ascii: "0")
    out.append(zero + UInt8(digit / 1000 % 10))
    out.append(zero + UInt8(digit / 100 % 10))
    out.append(zero + UInt8(digit / 10 % 10))
    out.append(zero + UInt8(digit % 10))
  }

  /// Powers of ten that a `Double` holds exactly.
  private static let powers: [Double] = (0...22).map { pow(10, Double($0)) }

  /// Up to 2^53 and a power of ten up to 10^22 both numbers are exact, so that one rounding gives
  /// the nearest `Double` (Clinger, "How to read floating point numbers accurately", 1990).
  var double: Double {
    if let special { return special.value }
    if digitCount == 0 { return sign == 0x4000 ? -0.0 : 0 }
    if digitCount <= 4 {
      var mantissa: UInt64 = 0
      for index in 0..<digitCount { mantissa = mantissa * 10_000 + UInt64(digit(index)) }
      var exponent = (weight - digitCount + 1) * 4
      while exponent < 0, mantissa % 10 == 0, mantissa != 0 {
        mantissa /= 10
        exponent += 1
      }
      if mantissa <= 1 << 53, abs(exponent) <= 22 {
        let value =
          exponent < 0
          ? Double(mantissa) / Self.powers[-exponent] : Double(mantissa) * Self.powers[exponent]
        return sign == 0x4000 ? -value : value
      }
    }
    return strtod(text, nil)
  }
}

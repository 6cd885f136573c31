import CKernels
import TestRandom
import Testing

/// The kernels of small integers against their scalar twins and their definitions.
@Suite struct IntegerKernelTests {
  private static func integers(_ count: Int, _ seed: UInt64) -> [Int16] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in Int16.random(in: -255...255, using: &random) }
  }

  @Test(
    "products are exact", arguments: [(1, 1, 1), (2, 3, 5), (3, 64, 4), (5, 129, 7), (2, 0, 3)])
  func products(rows: Int, depth: Int, columns: Int) {
    let a = Self.integers(max(rows * depth, 1), 1)
    let b = Self.integers(max(columns * depth, 1), 2)
    var (vector, scalar) = ([Int32](repeating: 7, count: rows * columns), [Int32]())
    scalar = vector
    ck_product_i16(a, rows, depth, b, columns, &vector)
    ck_product_i16_scalar(a, rows, depth, b, columns, &scalar)
    #expect(vector == scalar)
    for row in 0..<rows {
      for column in 0..<columns {
        var sum: Int32 = 0
        for k in 0..<depth { sum += Int32(a[row * depth + k]) * Int32(b[column * depth + k]) }
        #expect(vector[row * columns + column] == sum)
      }
    }
  }

  @Test("sums wrap in 32 bits")
  func wraps() {
    let a = [Int16](repeating: -32768, count: 8)
    var sum = [Int32(1)]
    ck_product_i16(a, 1, 8, a, 1, &sum)
    #expect(sum == [0])
  }

  @Test("numbers are rounded to even and kept within bounds", arguments: [Float(0), 3, 128, -128])
  func quantized(zero: Float) {
    let numbers: [Float] = [
      0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 1e9, -1e9, .infinity, -.infinity, .nan, 126.5, 127.5,
      -127.5, 3.25, -0.0, 254.5,
    ]
    let (least, greatest): (Float, Float) = zero < 0 ? (-128, 127) : (0, 255)
    var (vector, scalar) = (
      [UInt8](repeating: 9, count: numbers.count), [UInt8](repeating: 9, count: numbers.count)
    )
    for scale in [Float(1), 0.25, 3] {
      ck_quantize_u8(numbers, numbers.count, scale, zero, least, greatest, &vector)
      ck_quantize_u8_scalar(numbers, numbers.count, scale, zero, least, greatest, &scalar)
      #expect(vector == scalar)
      for (number, byte) in zip(numbers, vector) {
        let value = (number / scale).rounded(.toNearestOrEven) + zero
        let wanted = value.isNaN ? 0 : min(max(value, least), greatest)
        #expect(byte == UInt8(truncatingIfNeeded: Int(wanted)), "\(number) by \(scale)")
      }
      let unsigned = vector
      var (back, twin) = ([Float](repeating: 1, count: numbers.count), [Float]())
      twin = back
      ck_dequantize_u8(unsigned, unsigned.count, scale, Int32(zero), &back)
      ck_dequantize_u8_scalar(unsigned, unsigned.count, scale, Int32(zero), &twin)
      #expect(back == twin)
      #expect(back == unsigned.map { Float(Int($0) - Int(zero)) * scale })
      let signed = unsigned.map(Int8.init(bitPattern:))
      ck_dequantize_i8(signed, signed.count, scale, Int32(zero), &back)
      ck_dequantize_i8_scalar(signed, signed.count, scale, Int32(zero), &twin)
      #expect(back == twin)
      #expect(back == signed.map { Float(Int($0) - Int(zero)) * scale })
    }
  }
}

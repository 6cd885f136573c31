import CKernels
import Foundation
import TestRandom
import Testing

/// Vector kernels against their scalar twins, bit for bit, and against the C library's functions.
@Suite struct OperatorKernelTests {
  typealias Map<T> = (UnsafePointer<T>, Int, UnsafeMutablePointer<T>) -> Void

  static let counts = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000, 4097]

  static let special: [Double] = [
    0, -0.0, 1, -1, 0.5, 0x1p-1030, -0x1p-1030, .leastNonzeroMagnitude, 709.78, 709.79, -708.4,
    -745.13, -745.14, 1e308,
    -1e308, .infinity, -.infinity, .nan, .pi, 88.72, -87.33, 0.0999, 0.1, 0.1001, 2.5, 20, -40,
  ]

  static func numbers(_ count: Int, in range: ClosedRange<Double>, seed: UInt64) -> [Double] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in Double.random(in: range, using: &random) }
  }

  static func apply<T>(_ map: Map<T>, _ values: [T], zero: T) -> [T] {
    var out = Array(repeating: zero, count: values.count)
    map(values, values.count, &out)
    return out
  }

  @Test("functions match their scalar twins", arguments: counts)
  func twins(count: Int) {
    let values = Array((Self.special + Self.numbers(count, in: -50...50, seed: 1)).suffix(count))
    let doubles: [(Map<Double>, Map<Double>)] = [
      (ck_exp_f64, ck_exp_f64_scalar), (ck_log_f64, ck_log_f64_scalar),
      (ck_tanh_f64, ck_tanh_f64_scalar), (ck_logistic_f64, ck_logistic_f64_scalar),
    ]
    for (vector, scalar) in doubles {
      #expect(
        Self.apply(vector, values, zero: 0).map(\.bitPattern)
          == Self.apply(scalar, values, zero: 0).map(\.bitPattern))
    }
    let floats: [(Map<Float>, Map<Float>)] = [
      (ck_exp_f32, ck_exp_f32_scalar), (ck_log_f32, ck_log_f32_scalar),
      (ck_tanh_f32, ck_tanh_f32_scalar), (ck_logistic_f32, ck_logistic_f32_scalar),
    ]
    let narrow = values.map(Float.init)
    for (vector, scalar) in floats {
      #expect(
        Self.apply(vector, narrow, zero: 0).map(\.bitPattern)
          == Self.apply(scalar, narrow, zero: 0).map(\.bitPattern))
    }
  }

  /// Distance in units in the last place of the second.
  static func ulps(_ a: Double, _ b: Double) -> Double {
    if a == b || a.isNaN && b.isNaN { return 0 }
    return a.isFinite && b.isFinite ? abs(a - b) / b.ulp : .infinity
  }

  @Test("functions stay within a few ulp of the C library's")
  func accuracy() {
    let wide = Self.special + Self.numbers(20000, in: -750...750, seed: 2)
    let near = Self.special + Self.numbers(20000, in: -3...3, seed: 3)
    for x in wide + near {
      #expect(Self.ulps(ck_exp(x), exp(x)) <= 1, "exp(\(x))")
      #expect(Self.ulps(ck_log(abs(x)), log(abs(x))) <= 1, "log(\(abs(x)))")
      #expect(Self.ulps(ck_tanh(x), tanh(x)) <= 16, "tanh(\(x))")
      #expect(Self.ulps(ck_erf(x), erf(x)) <= 16, "erf(\(x))")
      #expect(
        x < -700 || Self.ulps(ck_logistic(x), 1 / (1 + exp(-x))) <= 4, "logistic(\(x))")
    }
    #expect(ck_log(-1).isNaN)
    for x in [-3, -0.5, 0, -0.0, 0.25, 1, 2.5, 1e3, .infinity, -.infinity, .nan] as [Double] {
      for y in [-3, -2, -0.5, 0, 0.5, 1, 2, 3, 0.3, 1.7, .infinity, -.infinity, .nan] as [Double] {
        let (got, want) = (ck_pow(x, y), pow(x, y))
        #expect(
          got.isNaN && want.isNaN || got == want && got.sign == want.sign
            || abs(got - want) <= 32 * want.ulp, "pow(\(x), \(y))")
      }
    }
  }

  @Test(
    "products match their scalar twins and do not depend on the rows beside them",
    arguments: [1, 2, 3, 4, 5, 8, 9, 33], [1, 2, 7, 8, 9, 17])
  func products(rows: Int, columns: Int) {
    let depth = 13
    let a = Self.numbers(rows * depth, in: -2...2, seed: 4).map(Float.init)
    let weights = Self.numbers(depth * columns, in: -2...2, seed: 5)
    let bias = Self.numbers(columns, in: -1...1, seed: 6)
    var panels = Array(repeating: 0.0, count: ck_panel_size(depth, columns))
    for column in 0..<columns {
      for k in 0..<depth {
        panels[(column / 8) * 8 * depth + k * 8 + column % 8] = weights[k * columns + column]
      }
    }
    var vector = Array(repeating: Float(0), count: rows * columns)
    var scalar = vector
    ck_gemm_f32(a, rows, depth, panels, columns, bias, &vector)
    ck_gemm_f32_scalar(a, rows, depth, panels, columns, bias, &scalar)
    #expect(vector.map(\.bitPattern) == scalar.map(\.bitPattern))
    for row in 0..<rows {
      var alone = Array(repeating: Float(0), count: columns)
      ck_gemm_f32(
        Array(a[(row * depth)..<((row + 1) * depth)]), 1, depth, panels, columns, bias, &alone)
      #expect(alone == Array(vector[(row * columns)..<((row + 1) * columns)]))
      for column in 0..<columns {
        var sum = 0.0
        for k in 0..<depth { sum += Double(a[row * depth + k]) * weights[k * columns + column] }
        #expect(alone[column] == Float(sum + bias[column]))
      }
    }
    var distances = Array(repeating: 0.0, count: rows * columns)
    var twins = distances
    ck_distance_f32(a, rows, depth, panels, columns, &distances)
    ck_distance_f32_scalar(a, rows, depth, panels, columns, &twins)
    #expect(distances.map(\.bitPattern) == twins.map(\.bitPattern))
    ck_kernel_rbf_f64(&distances, distances.count, 0.3)
    ck_kernel_rbf_f64_scalar(&twins, twins.count, 0.3)
    #expect(distances.map(\.bitPattern) == twins.map(\.bitPattern))
    let wide = a.map(Double.init)
    ck_gemm_f64(wide, rows, depth, panels, columns, nil, &distances)
    ck_gemm_f64_scalar(wide, rows, depth, panels, columns, nil, &twins)
    #expect(distances.map(\.bitPattern) == twins.map(\.bitPattern))
    ck_kernel_sigmoid_f64(&distances, distances.count, 0.3, 0.1)
    ck_kernel_sigmoid_f64_scalar(&twins, twins.count, 0.3, 0.1)
    #expect(distances.map(\.bitPattern) == twins.map(\.bitPattern))
  }
}

import CKernels
import TestRandom
import Testing

/// The float kernels against their scalar twins, bit for bit, and against sums in double.
@Suite struct LayerKernelTests {
  private struct Shape: CustomTestStringConvertible {
    let rows, depth, columns: Int
    var testDescription: String { "\(rows) x \(depth) x \(columns)" }
  }

  private static let shapes = [
    (1, 1, 1), (1, 64, 256), (2, 3, 17), (3, 20, 33), (4, 7, 16), (5, 9, 40), (6, 5, 15),
    (7, 64, 3), (7, 40, 40), (8, 256, 1), (9, 33, 24), (10, 16, 2), (13, 520, 8), (15, 30, 25),
    (16, 256, 19),
    (11, 600, 20), (12, 1025, 5), (97, 30, 50), (200, 8, 64), (3, 0, 5),
  ].map { Shape(rows: $0.0, depth: $0.1, columns: $0.2) }

  private static func floats(_ count: Int, _ seed: UInt64) -> [Float] {
    OperatorKernelTests.numbers(count, in: -2...2, seed: seed).map(Float.init)
  }

  /// Weights by (k, column), and packed.
  private static func panels(_ depth: Int, _ columns: Int) -> (plain: [Float], packed: [Float]) {
    let plain = floats(depth * columns, 5)
    let width = CK_LAYER_PANEL
    var packed = Array(repeating: Float(0), count: max(ck_layer_panel_size(depth, columns), 1))
    for k in 0..<depth {
      for column in 0..<columns {
        packed[column / width * width * depth + k * width + column % width] =
          plain[k * columns + column]
      }
    }
    return (plain, packed)
  }

  @Test("a layer matches its scalar twin and the sums in double", arguments: shapes)
  private func layer(shape: Shape) {
    let (rows, depth, columns) = (shape.rows, shape.depth, shape.columns)
    let a = Self.floats(max(rows * depth, 1), 1)
    let (plain, packed) = Self.panels(depth, columns)
    let bias = Self.floats((columns + 15) / 16 * 16, 2)
    var (vector, scalar) = (
      Array(repeating: Float(0), count: rows * columns),
      Array(repeating: Float(0), count: rows * columns)
    )
    for relu in [Int32(0), 1] {
      ck_layer_f32(a, rows, depth, packed, columns, bias, relu, &vector)
      ck_layer_f32_scalar(a, rows, depth, packed, columns, bias, relu, &scalar)
      #expect(vector.map(\.bitPattern) == scalar.map(\.bitPattern))
      for row in 0..<rows {
        for column in 0..<columns {
          var (sum, size) = (Double(bias[column]), abs(Double(bias[column])))
          for k in 0..<depth {
            let term = Double(a[row * depth + k]) * Double(plain[k * columns + column])
            sum += term
            size += abs(term)
          }
          let wanted = relu == 1 ? max(sum, 0) : sum
          #expect(abs(Double(vector[row * columns + column]) - wanted) <= 2e-6 * (1 + size))
        }
      }
      // A row alone gives the bits that it has among others.
      for row in 0..<rows {
        var own = Array(repeating: Float(0), count: columns)
        ck_layer_f32(Array(a[(row * depth)...]) + [0], 1, depth, packed, columns, bias, relu, &own)
        #expect(
          own.map(\.bitPattern) == vector[(row * columns)..<((row + 1) * columns)].map(\.bitPattern)
        )
      }
    }
  }

  @Test("radial kernels match their scalar twins and the exponentials in double", arguments: shapes)
  private func radial(shape: Shape) {
    let (rows, depth, columns) = (shape.rows, shape.depth, shape.columns)
    let a = Self.floats(max(rows * depth, 1), 3)
    let (plain, packed) = Self.panels(depth, columns)
    let weights =
      OperatorKernelTests.numbers(columns, in: -1...1, seed: 4).map(Float.init)
      + Array(repeating: 0, count: (columns + 15) / 16 * 16 - columns)
    let gamma = Float(0.7) / Float(max(depth, 1))
    var (values, twin) = (
      Array(repeating: Float(-1), count: rows * columns),
      Array(repeating: Float(-1), count: rows * columns)
    )
    ck_rbf_f32(a, rows, depth, packed, columns, gamma, &values)
    ck_rbf_f32_scalar(a, rows, depth, packed, columns, gamma, &twin)
    #expect(values.map(\.bitPattern) == twin.map(\.bitPattern))
    var (sums, sumTwin) = (Array(repeating: 0.0, count: rows), Array(repeating: 0.0, count: rows))
    ck_rbf_sum_f32(a, rows, depth, packed, columns, gamma, weights, &sums)
    ck_rbf_sum_f32_scalar(a, rows, depth, packed, columns, gamma, weights, &sumTwin)
    #expect(sums.map(\.bitPattern) == sumTwin.map(\.bitPattern))
    for row in 0..<rows {
      var total = 0.0
      for column in 0..<columns {
        var distance = 0.0
        for k in 0..<depth {
          let difference = Double(a[row * depth + k]) - Double(plain[k * columns + column])
          distance += difference * difference
        }
        let wanted = ck_exp(-Double(gamma) * distance)
        let bound = 1e-6 + 6e-9 * Double(depth)
        #expect(abs(Double(values[row * columns + column]) - wanted) <= bound * wanted + 1e-37)
        total += wanted * Double(weights[column])
      }
      #expect(abs(sums[row] - total) <= 1e-6 * Double(columns))
      var own = [0.0]
      ck_rbf_sum_f32(
        Array(a[(row * depth)...]) + [0], 1, depth, packed, columns, gamma, weights, &own)
      #expect(own[0].bitPattern == sums[row].bitPattern)
    }
  }

  @Test("softmax matches its scalar twin and each row alone", arguments: [1, 3, 16, 256, 257])
  func softmax(width: Int) {
    let rows = 90
    var numbers = Self.floats(rows * width, 6).map { $0 * 20 }
    numbers[width - 1] = 300
    var (vector, scalar) = (numbers, numbers)
    ck_softmax_f32(numbers, rows, width, &vector)
    ck_softmax_f32_scalar(numbers, rows, width, &scalar)
    #expect(vector.map(\.bitPattern) == scalar.map(\.bitPattern))
    var (logs, logTwins) = (numbers, numbers)
    ck_log_softmax_f32(numbers, rows, width, &logs)
    ck_log_softmax_f32_scalar(numbers, rows, width, &logTwins)
    #expect(logs.map(\.bitPattern) == logTwins.map(\.bitPattern))
    for row in 0..<rows {
      let range = (row * width)..<((row + 1) * width)
      let own = Array(numbers[range])
      var alone = own
      ck_softmax_f32(own, 1, width, &alone)
      #expect(alone.map(\.bitPattern) == vector[range].map(\.bitPattern))
      let greatest = Double(own.max() ?? 0)
      let powers = own.map { ck_exp(Double($0) - greatest) }
      let sum = powers.reduce(0, +)
      #expect(alone == powers.map { Float($0 / sum) })
      #expect(
        Array(logs[range]) == own.map { Float(Double($0) - greatest - ck_log(sum)) })
    }
  }

  @Test("far points have no weight, near ones all of it")
  func ends() {
    for (distance, wanted) in [(Float(0), Float(1)), (9.4, 0), (12, 0), (1e10, 0), (3e38, 0)] {
      var value = Float(-1)
      var packed = Array(repeating: Float(0), count: 16)
      packed[0] = distance
      ck_rbf_f32([0], 1, 1, packed, 1, 1, &value)
      #expect(value == wanted)
    }
  }

  @Test(
    "weighed columns match their scalar twin, and replace what is missing", arguments: [1, 3, 8])
  func columns(width: Int) {
    for rows in [1, 5, 256, 300] {
      let columns = (0..<7).map { j in
        var numbers = Self.floats(rows * 2, UInt64(j))
        for i in stride(from: j, to: numbers.count, by: 5) { numbers[i] = .nan }
        return numbers
      }
      let steps = [1, 2, 1, 1, 2, 1, 1]
      let replacements = (0..<7).map { Float($0) / 3 }
      let weights = OperatorKernelTests.numbers(7 * width, in: -1...1, seed: 9)
      var (vector, scalar) = (
        Array(repeating: 0.0, count: rows * width), Array(repeating: 0.0, count: rows * width)
      )
      withExtendedLifetime(columns) {
        let pointers: [UnsafePointer<Float>?] = columns.map { column in
          column.withUnsafeBufferPointer { $0.baseAddress }
        }
        ck_weigh_columns_f32(pointers, steps, replacements, 7, rows, weights, width, &vector)
        ck_weigh_columns_f32_scalar(pointers, steps, replacements, 7, rows, weights, width, &scalar)
      }
      #expect(vector.map(\.bitPattern) == scalar.map(\.bitPattern))
      for row in 0..<rows {
        for c in 0..<width {
          var sum = 0.0
          for j in 0..<7 {
            let x = columns[j][row * steps[j]]
            sum += Double(x.isNaN ? replacements[j] : x) * weights[j * width + c]
          }
          #expect(vector[row * width + c] == sum)
        }
      }
    }
  }
}

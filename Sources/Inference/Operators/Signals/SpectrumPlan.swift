internal import Foundation

/// A discrete Fourier transform of one length, in doubles.
///
/// Powers of two are halved again and again; any other length is a convolution of such (Bluestein's
/// chirp), so that all take n log n steps.
struct SpectrumPlan: Sendable {
  let length: Int
  /// The power of two that is transformed.
  private let size: Int
  /// exp(-2 pi i k / size) for the first half.
  private let turns: [(Double, Double)]
  /// exp(-pi i k² / length), and the transform of its conjugate; empty for powers of two.
  private let chirp: [(Double, Double)]
  private let response: [(Double, Double)]

  init(length: Int) {
    self.length = length
    let isPower = length & (length - 1) == 0
    var size = 1
    while size < (isPower ? length : 2 * length - 1) { size *= 2 }
    self.size = size
    let turns = (0..<max(size / 2, 1)).map { k in
      Self.turn(2 * Double.pi * Double(k) / Double(size))
    }
    self.turns = turns
    guard !isPower else {
      (chirp, response) = ([], [])
      return
    }
    // k² modulo twice the length, so that the angle keeps its places.
    let chirp = (0..<length).map { k in
      Self.turn(Double.pi * Double(k * k % (2 * length)) / Double(length))
    }
    var list = Array(repeating: (0.0, 0.0), count: size)
    for k in 0..<length {
      list[k] = (chirp[k].0, -chirp[k].1)
      if k > 0 { list[size - k] = list[k] }
    }
    Self.transform(&list, turns)
    (self.chirp, response) = (chirp, list)
  }

  private static func turn(_ angle: Double) -> (Double, Double) { (cos(angle), -sin(angle)) }

  /// The sum of `values[k]` times exp(-2 pi i j k / length) for each j; `values` has `length` numbers.
  func transform(_ values: inout [(Double, Double)], isInverse: Bool = false) {
    guard !isInverse else {
      // The conjugate of the conjugate's transform.
      for k in 0..<length { values[k].1 = -values[k].1 }
      transform(&values)
      for k in 0..<length {
        values[k] = (values[k].0 / Double(length), -values[k].1 / Double(length))
      }
      return
    }
    guard !chirp.isEmpty else { return Self.transform(&values, turns) }
    var list = Array(repeating: (0.0, 0.0), count: size)
    for k in 0..<length { list[k] = Self.product(values[k], chirp[k]) }
    Self.transform(&list, turns)
    for k in 0..<size {
      let (x, y) = Self.product(list[k], response[k])
      list[k] = (x, -y)
    }
    Self.transform(&list, turns)
    for k in 0..<length {
      let scaled = (list[k].0 / Double(size), -list[k].1 / Double(size))
      values[k] = Self.product(scaled, chirp[k])
    }
  }

  private static func product(_ a: (Double, Double), _ b: (Double, Double)) -> (Double, Double) {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
  }

  /// In place, for as many numbers as `turns` are made for: twice as many, or one.
  private static func transform(_ values: inout [(Double, Double)], _ turns: [(Double, Double)]) {
    let count = values.count
    guard count > 1 else { return }
    var reversed = 0
    for index in 1..<count {
      var bit = count >> 1
      while reversed & bit != 0 {
        reversed ^= bit
        bit >>= 1
      }
      reversed |= bit
      if index < reversed { values.swapAt(index, reversed) }
    }
    var width = 1
    while width < count {
      let step = count / (2 * width)
      for first in stride(from: 0, to: count, by: 2 * width) {
        for k in 0..<width {
          let (a, b) = (values[first + k], product(values[first + k + width], turns[k * step]))
          values[first + k] = (a.0 + b.0, a.1 + b.1)
          values[first + k + width] = (a.0 - b.0, a.1 - b.1)
        }
      }
      width *= 2
    }
  }
}

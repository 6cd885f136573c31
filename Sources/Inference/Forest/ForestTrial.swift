internal import CKernels

/// Measures kernels of one forest against each other, with rows made up from its thresholds.
///
/// Costs a few calls a kernel, in proportion to the forest: less than a millisecond for usual
/// ones. Only the thread's own time counts, so that a busy machine decides no differently. A disturbed
/// measurement costs speed, never a different score.
struct ForestTrial {
  struct Figures {
    let kernel: any ForestKernel
    /// Nanoseconds a row, in batches of 1, of `fewRows` and of many rows.
    var one = Double.infinity
    var few = Double.infinity
    var many = Double.infinity
    /// How many those are.
    var manyRows = 0
  }

  static let fewRows = 16
  fileprivate static let manyRows = 256
  /// Once a kernel has taken so many nanoseconds it is not run again.
  fileprivate static let enough = 60_000.0

  private static let mostThresholds = 16
  private let rows: [[Float]]

  /// Some thresholds of each feature, ascending: enough to make up rows that spread over leaves.
  static func thresholds(_ forest: Forest, features: [Int]) -> [[Float]] {
    var samples: [Int32: [Float]] = [:]
    // Splits evenly over the forest, so that neither early trees nor upper levels prevail.
    let step = max(forest.features.count / (256 * max(features.count, 1)), 1)
    for node in stride(from: 0, to: forest.features.count, by: step)
    where forest.features[node] >= 0 {
      let value: Double
      switch forest.tests[node] {
      case .atMost(let threshold): value = threshold
      case .equal(let wanted): value = wanted
      case .among(let set): value = Double(forest.categorySets[set].last ?? 0)
      }
      samples[forest.features[node], default: []].append(Float(value))
    }
    return features.map { feature in
      let known = (samples[Int32(feature)] ?? []).filter(\.isFinite).sorted()
      guard known.count > mostThresholds else { return known }
      return (0..<mostThresholds).map { known[$0 * (known.count - 1) / (mostThresholds - 1)] }
    }
  }

  /// - Parameter thresholds: some of each feature.
  init(_ thresholds: [[Float]]) {
    // A generator of its own, so that every load makes up the same rows.
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    func random(_ count: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(count))
    }
    rows = thresholds.map { known in
      (0..<Self.manyRows).map { _ in
        guard !known.isEmpty else { return 0 }
        let value = known[random(known.count)]
        return random(2) == 0 ? value : value.nextUp
      }
    }
  }

  /// What each kernel costs; of those that are far behind with few rows, no more than that.
  func measure(
    _ kernels: [any ForestKernel], precision: ForestPlan.Precision, sumStride: Int
  ) -> [Figures] {
    let stands = kernels.map {
      Stand($0, rows: rows, precision: precision, sumStride: sumStride)
    }
    // One after the other: side by side they would take each other's cache and memory.
    var figures = stands.map { $0.few() }
    var best = Double.infinity
    for index in figures.indices.sorted(by: { figures[$0].few < figures[$1].few }) {
      // More rows at once make a row cheaper by no more than this.
      let most = stands[index].mostRows
      let gain =
        stands[index].takesBlocks || figures[index].few < figures[index].one / 4
        ? Double(most) / Double(Self.fewRows) : 3
      guard figures[index].few < best * gain else { continue }
      // Where that takes long, a part of a block tells as much.
      let isLong = figures[index].few * Double(most) > 2e6 && gain <= 3
      figures[index].manyRows = isLong ? most / 4 : most
      figures[index].many = stands[index].nanoseconds(rows: figures[index].manyRows)
      best = min(best, figures[index].many)
    }
    return figures
  }

  /// A kernel with what it needs to score the rows.
  private final class Stand: @unchecked Sendable {
    private let kernel: any ForestKernel
    private let rows: [[Float]]
    private let precision: ForestPlan.Precision
    private let codes: UnsafeMutableRawPointer
    private let scratch: UnsafeMutableRawPointer
    private let sums: UnsafeMutableRawPointer
    let mostRows: Int

    init(
      _ kernel: any ForestKernel, rows: [[Float]], precision: ForestPlan.Precision, sumStride: Int
    ) {
      (self.kernel, self.rows, self.precision) = (kernel, rows, precision)
      mostRows = min(ForestTrial.manyRows, kernel.blockRows)
      let codeBytes = (kernel.codes.byteCount(rows: ForestTrial.manyRows) + 63) & ~63
      codes = .allocate(byteCount: codeBytes + kernel.scratchByteCount, alignment: 64)
      scratch = codes + codeBytes
      let sumBytes = mostRows * sumStride * 8
      sums = .allocate(byteCount: sumBytes, alignment: 64)
      sums.initializeMemory(as: UInt8.self, repeating: 0, count: sumBytes)
    }

    deinit {
      codes.deallocate()
      sums.deallocate()
    }

    var takesBlocks: Bool { kernel.takesBlocks }

    /// What one row and few of them cost.
    func few() -> Figures {
      var figures = Figures(kernel: kernel)
      // A first call brings in what the kernel reads.
      guard !kernel.takesBlocks else {
        score(0, ForestTrial.fewRows)
        figures.few = nanoseconds(rows: ForestTrial.fewRows)
        figures.one = figures.few * Double(ForestTrial.fewRows)
        return figures
      }
      score(0, 1)
      var row = 0
      figures.one = best(rows: 2) {
        score(row, 1)
        score(row + 1, 1)
        row += 2
      }
      figures.few = nanoseconds(rows: ForestTrial.fewRows)
      return figures
    }

    /// Of each row, in batches of so many.
    func nanoseconds(rows count: Int) -> Double { best(rows: count) { score(0, count) } }

    private func score(_ first: Int, _ count: Int) {
      for (index, values) in rows.enumerated() {
        values.withUnsafeBufferPointer {
          kernel.codes.encode(
            $0.baseAddress! + first, stride: 1, count: count, feature: index, into: codes)
        }
      }
      switch precision {
      case .float:
        kernel.add(
          codes, count: count, to: sums.assumingMemoryBound(to: Float.self), scratch: scratch)
      case .double:
        kernel.add(
          codes, count: count, to: sums.assumingMemoryBound(to: Double.self), scratch: scratch)
      }
    }

    /// The least nanoseconds a row, of as many runs as there is time for.
    private func best(rows: Int, _ body: () -> Void) -> Double {
      var least = Double.infinity
      var runs = 0
      var spent = 0.0
      repeat {
        let start = ck_thread_nanoseconds()
        body()
        let time = ck_thread_nanoseconds() - start
        least = min(least, time)
        spent += time
        runs += 1
      } while runs < 5 && spent < ForestTrial.enough
      // A clock may stand still for as long as a run takes.
      return max(least, 1) / Double(rows)
    }
  }
}

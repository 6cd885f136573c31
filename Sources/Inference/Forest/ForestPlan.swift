/// A forest made ready to be scored, by the kernels that are fastest for it on this machine.
///
/// Values are first replaced by codes, for which a split is one comparison whatever the source's
/// type, comparison, missing rule or category set was: see `ck_forest.h`. Several families of
/// kernels find the leaves then. One is chosen for few rows and one for many, by a measurement
/// when the plan is made (`ForestTrial`); the sums are the same to the bit.
///
/// - Complexity: Making a plan is linear in the nodes, but for sorting distinct thresholds.
package final class ForestPlan: Sendable {
  /// The type in which leaves are added up, which decides the last digits of a score.
  package enum Precision: Sendable {
    case float, double
  }

  package enum Aggregate: Sendable {
    case sum, min, max
  }

  /// The types of values that are encoded: doubles do not fit kernels that compare floats.
  package enum Values: Sendable {
    case floats, doubles
  }

  /// Families of kernels.
  package enum Kernel: String, Sendable, CaseIterable {
    /// From node to node, comparing one-byte ranks.
    case walkOfBytes = "walk of bytes"
    /// From node to node, comparing floats as they are.
    case walkOfFloats = "walk of floats"
    /// From node to node, for any forest.
    case walk
    /// All splits at once, by bit masks, many rows a register: trees of at most 256 leaves, sums.
    case masks
    /// The masks turned round, many trees a register.
    case lanes
    /// The same without this CPU's vectors, for CPUs of other kinds; never chosen where they are.
    case portableMasks = "portable masks"
    case portableLanes = "portable lanes"
  }

  package let precision: Precision
  package let outputCount: Int
  /// Numbers of the features that trees read, ascending.
  package let features: [Int]
  /// Rows that are scored together.
  package let blockRows: Int
  /// Sums of a row, the outputs first.
  package let sumStride: Int
  package let byteCount: Int
  package let statistics: ForestStatistics
  /// Some thresholds of each of `features`, ascending.
  package let thresholds: [[Float]]
  /// Which kernels were chosen, and what the others cost.
  package let kernelReports: [KernelReport]
  /// What making the plan took.
  let times: LoadTimes
  private let few: any ForestKernel
  private let many: any ForestKernel
  /// Into what the plan owns.
  let calls: ForestCalls
  private let featureTable: KernelTable<Int>
  private let codeByteCount: Int
  private let kernelScratchByteCount: Int

  /// - Parameters:
  ///   - values: floats where the sums are floats, if nil.
  ///   - kernel: taken for any number of rows, if it fits the forest; else the fastest are chosen.
  package init(
    _ forest: Forest, precision: Precision, aggregate: Aggregate = .sum, values: Values? = nil,
    kernel: Kernel? = nil
  ) throws(ModelError) {
    self.precision = precision
    outputCount = forest.outputCount
    let clock = ContinuousClock()
    let start = clock.now
    let values = values ?? (precision == .float ? .floats : .doubles)
    enum Part {
      case statistics(ForestStatistics)
      case leaves(LeafValues)
      case ranking(ForestRanking)
    }
    let parts: [Part] = Concurrently.map(3) { part in
      switch part {
      case 0: return .statistics(ForestStatistics(forest))
      case 1: return .leaves(LeafValues(forest, precision: precision))
      default:
        var ranking = ForestRanking(forest)
        // Where floats are compared as they are, no more of the thresholds is asked for.
        let mayStop = values == .floats && kernel == nil && ForestCandidates.comparesFloats(forest)
        ranking.collect(
          most: mayStop ? ForestCandidates.mostThresholds(views: ranking.views.count) : nil)
        return .ranking(ranking)
      }
    }
    guard case .statistics(let statistics) = parts[0], case .leaves(let leaves) = parts[1],
      case .ranking(let ranking) = parts[2]
    else { preconditionFailure("parts come in order") }
    self.statistics = statistics
    sumStride = leaves.sumStride
    var candidates = ForestCandidates(
      forest, ranking: ranking, leaves: leaves, aggregate: aggregate,
      values: values)
    let kernels = candidates.kernels(kernel)
    guard let first = kernels.first else {
      throw ModelError(
        .tooLarge,
        "the trees need more than \(ForestRanking.mostViews) views of \(forest.featureCount) features",
        hint: "Train with fewer features, or with fewer thresholds a feature.")
    }
    features = first.codes.features
    thresholds = ForestTrial.thresholds(forest, features: features)
    let made = clock.now
    let choice = ForestChoice(
      kernels, thresholds: thresholds, precision: precision, sumStride: sumStride)
    times = LoadTimes(plan: made - start, trial: clock.now - made)
    (few, many) = (choice.few, choice.many)
    kernelReports = choice.reports
    let blockRows = many.blockRows
    self.blockRows = blockRows
    codeByteCount =
      (max(many.codes.byteCount(rows: blockRows), few.codes.byteCount(rows: choice.fewRows)) + 63)
      & ~63
    kernelScratchByteCount = (max(many.scratchByteCount, few.scratchByteCount) + 63) & ~63
    featureTable = KernelTable(features)
    calls = ForestCalls(
      few: few.form, many: many.form, fewRows: choice.fewRows,
      features: UnsafeBufferPointer(start: featureTable.base, count: features.count),
      codeByteCount: codeByteCount)
    let isShared = few === many
    let codesAreShared = few.codes === many.codes
    byteCount =
      leaves.table.byteCount + many.byteCount + many.codes.byteCount
      + (isShared ? 0 : few.byteCount) + (codesAreShared ? 0 : few.codes.byteCount)
  }

  /// Memory that one thread needs to score a block: codes and sums.
  package var scratchByteCount: Int {
    codeByteCount + kernelScratchByteCount + blockRows * sumStride * 8
  }

  /// Where the sums of a block lie in `scratch`: `sumStride` a row, row by row.
  package func sums<Real>(
    in scratch: UnsafeMutableRawPointer, as type: Real.Type
  ) -> UnsafeMutablePointer<Real> {
    (scratch + codeByteCount + kernelScratchByteCount).assumingMemoryBound(to: type)
  }

  // MARK: Encoding

  /// Encodes one block of values, `stride` apart, of the feature at `index` of `features`.
  ///
  /// - Parameter count: rows of the block, the same for each feature and for `add`.
  package func encode(
    _ values: UnsafePointer<Float>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(values, stride: stride, count: count, feature: index, into: scratch)
  }

  package func encode(
    _ values: UnsafePointer<Double>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(values, stride: stride, count: count, feature: index, into: scratch)
  }

  /// Encodes one block of rows that lie row by row, `width` values each.
  package func encode(
    rows: UnsafePointer<Float>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(rows: rows, width: width, count: count, into: scratch)
  }

  package func encode(
    rows: UnsafePointer<Double>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    calls.encode(rows: rows, width: width, count: count, into: scratch)
  }

  // MARK: Sums

  /// Adds the leaves of the encoded block to `sums`, `sumStride` a row; what lies there past the
  /// outputs is scratch.
  package func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>
  ) {
    precondition(precision == .double)
    calls.add(scratch, count: count, to: sums)
  }

  package func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>
  ) {
    precondition(precision == .float)
    calls.add(scratch, count: count, to: sums)
  }
}

/// Counts what a run without a plan computes and the memory that its results take, and ends it where
/// either is too much.
///
/// A unit of work is about an element written or a product added. Memory is counted when it is
/// taken and not given back, so that what lives at once is never more. One thread uses a meter at a
/// time.
final class WorkMeter: @unchecked Sendable {
  private(set) var spent = 0
  private var held = 0
  private let most: Int
  private let mostBytes: Int

  /// What a node costs at least: a loop of empty nodes ends too.
  static let perNode = 256
  /// What a row may cost, about a second.
  static let perRow = 1 << 28
  /// Bytes that the results of a row may take, those of all turns of its loops together.
  static let bytesPerRow = 1 << 28

  init(most: Int = perRow, bytes: Int = bytesPerRow) { (self.most, mostBytes) = (most, bytes) }

  /// - Throws: `.tooLarge` where more is spent than there was.
  func spend(_ units: Int) throws(ModelError) {
    let (sum, overflow) = spent.addingReportingOverflow(max(units, 0))
    guard !overflow, sum <= most else {
      throw ModelError(.tooLarge, "a row takes more than \(most) steps")
    }
    spent = sum
  }

  /// Counts elements of a type before memory for them is taken.
  ///
  /// - Throws: `.tooLarge` where the row's results come to more bytes than there were.
  func hold(_ count: Int, of type: TensorType) throws(ModelError) {
    let (size, tooMany) = max(count, 0).multipliedReportingOverflow(by: type.stride)
    let (sum, overflow) = held.addingReportingOverflow(size)
    guard !tooMany, !overflow, sum <= mostBytes else {
      throw ModelError(.tooLarge, "the results of a row take more than \(mostBytes) bytes")
    }
    held = sum
  }
}

extension Node {
  /// Counts work that grows faster than the results, and refuses what would take minutes at load.
  func spend(_ factors: Int...) throws(ModelError) {
    var work = 1
    for factor in factors {
      let (product, overflow) = work.multipliedReportingOverflow(by: max(factor, 1))
      guard !overflow, product <= limits.stepCount else {
        throw error(.tooLarge, "a result takes too many steps")
      }
      work = product
    }
    try meter?.spend(work)
  }
}

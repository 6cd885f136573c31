/// Counts what a run without a plan computes, and ends it where that is too much.
///
/// A unit is about an element written or a product added. As each element that is kept was written
/// once, the count bounds memory as well as time. One thread uses a meter at a time.
final class WorkMeter: @unchecked Sendable {
  private(set) var spent = 0
  private let most: Int

  /// What a node costs at least: a loop of empty nodes ends too.
  static let perNode = 256
  /// What a row may cost, about a second.
  static let perRow = 1 << 28

  init(most: Int) { self.most = most }

  /// - Throws: `.tooLarge` where more is spent than there was.
  func spend(_ units: Int) throws(ModelError) {
    let (sum, overflow) = spent.addingReportingOverflow(max(units, 0))
    guard !overflow, sum <= most else {
      throw ModelError(.tooLarge, "a row takes more than \(most) steps")
    }
    spent = sum
  }
}

extension Node {
  /// Counts work that grows faster than the results, and refuses what would take minutes at load.
  func spend(_ factors: Int...) throws(ModelError) {
    var work = 1
    for factor in factors {
      let (product, overflow) = work.multipliedReportingOverflow(by: max(factor, 1))
      guard !overflow, product <= 1 << 34 else {
        throw error(.tooLarge, "a result takes too many steps")
      }
      work = product
    }
    try meter?.spend(work)
  }
}

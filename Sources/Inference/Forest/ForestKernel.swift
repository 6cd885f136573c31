/// A way to find the leaves of rows and add them up; see `ck_forest.h` for the families.
///
/// Whichever is taken, the sums are the same to the bit.
protocol ForestKernel: AnyObject, Sendable {
  /// The family, as reports and tests call it.
  var name: String { get }
  /// What it is given in place of values.
  var codes: ForestCodes { get }
  /// Rows that it takes at once at most.
  var blockRows: Int { get }
  /// What it takes beside its codes and the values of leaves.
  var byteCount: Int { get }
  /// Memory that a call needs.
  var scratchByteCount: Int { get }

  /// Adds the leaves of encoded rows to their sums, which lie row by row.
  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutableRawPointer)
  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>,
    scratch: UnsafeMutableRawPointer)
}

extension ForestKernel {
  var scratchByteCount: Int { 0 }
}

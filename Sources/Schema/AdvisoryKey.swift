/// The migrator's advisory lock, in the two-number form that all of Rowcast's locks have.
enum AdvisoryKey {
  /// `rowc` in ASCII; the SQL functions document what it holds. Fixed for ever.
  static let space: Int32 = 1_919_907_683
  static let migrator: Int32 = 3
}

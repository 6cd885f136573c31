/// Which requests for a model are recorded, and what of them.
package struct Recording: Sendable {
  /// Above 0, up to 1; drawn at random.
  var share: Double
  var hasInputs: Bool

  package init(share: Double, hasInputs: Bool) {
    self.share = share
    self.hasInputs = hasInputs
  }
}

/// A model that a server loads at once and keeps, and without which it is not ready.
public struct PinnedModel: Sendable, Hashable {
  public var name: String
  /// A number or an alias; the champion where nil.
  public var version: String?

  /// - Parameter text: `name` or `name@version`.
  public init?(_ text: String) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    version = parts.count > 1 ? String(parts.last!) : nil
    name = parts.count > 1 ? parts.dropLast().joined(separator: "@") : text
    guard !name.isEmpty, version?.isEmpty != true else { return nil }
  }
}

internal import Foundation
internal import Hummingbird

/// The query of a request: what stands there is what the route takes, or the request is refused.
struct RequestQuery {
  private var values: [String: String] = [:]

  /// - Parameter known: All names that the route takes; nil where it passes over others.
  /// - Throws: 400 for a name that is not known, or comes twice.
  init(_ request: Request, known: Set<String>?) throws(Problem) {
    try self.init(RequestHead(request), known: known)
  }

  init(_ head: RequestHead, known: Set<String>?) throws(Problem) {
    for (name, value) in head.query {
      let shown = (name.removingPercentEncoding ?? "").excerpt(40)
      guard known?.contains(String(name)) ?? true else {
        throw .badRequest("the query has \"\(shown)\", which is not known")
      }
      guard values.updateValue(String(value), forKey: String(name)) == nil || known == nil else {
        throw .badRequest("the query has \"\(shown)\" twice")
      }
    }
  }

  /// nil where it is not there; not empty, and of characters that the database has.
  func text(_ name: String) throws(Problem) -> String? {
    guard let value = values[name] else { return nil }
    guard !value.isEmpty else { throw .badRequest("\"\(name)\" is empty") }
    guard !value.utf8.contains(0) else { throw .badRequest("\"\(name)\" has a character 0") }
    return value
  }

  /// nil where it is not there.
  func integer(
    _ name: String, in range: ClosedRange<Int> = 1...Int(Int32.max)
  ) throws(Problem) -> Int? {
    guard let value = values[name] else { return nil }
    guard let number = Int(value), range.contains(number) else {
      throw .badRequest(
        "\"\(name)\" is not a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}

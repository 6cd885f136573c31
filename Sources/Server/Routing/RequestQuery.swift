internal import Foundation
internal import Hummingbird

/// The query of a request: what stands there is what the route takes, or the request is refused.
struct RequestQuery {
  private var values: [String: String] = [:]

  /// - Parameters:
  ///   - known: All names that the route takes.
  ///   - passesOver: Whether it passes over others.
  /// - Throws: 400 for a name that is not known, or is and comes twice.
  init(_ request: Request, known: Set<String>, passesOver: Bool = false) throws(Problem) {
    try self.init(RequestHead(request), known: known, passesOver: passesOver)
  }

  init(_ head: RequestHead, known: Set<String>, passesOver: Bool = false) throws(Problem) {
    for (name, value) in head.query {
      let shown = (name.removingPercentEncoding ?? "").excerpt(40)
      guard known.contains(String(name)) else {
        if passesOver { continue }
        throw .badRequest("the query has \"\(shown)\", which is not known")
      }
      guard values.updateValue(String(value), forKey: String(name)) == nil else {
        throw .badRequest("the query has \"\(shown)\" twice")
      }
    }
  }

  /// What stands between commas; nothing where it is not there.
  func list(_ name: String) -> [String] {
    values[name]?.split(separator: ",").map(String.init) ?? []
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

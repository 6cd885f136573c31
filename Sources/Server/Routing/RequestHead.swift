internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore

/// What of a request's head is looked at by those who answer, wherever it was read.
struct RequestHead: Sendable {
  let fields: any HeaderFields
  /// Path and query.
  let target: String

  init(fields: any HeaderFields, target: String) {
    self.fields = fields
    self.target = target
  }

  init(_ request: Request) { self.init(fields: request.headers, target: request.uri.string) }

  var query: FlatDictionary<Substring, Substring> {
    target.utf8.contains(UInt8(ascii: "?")) ? URI(target).queryParameters : FlatDictionary()
  }
}

/// The parameters of a path, by name.
struct PathParameters: Sendable {
  /// As they came.
  private var values: [(name: String, value: Substring)] = []

  init() {}

  init(_ context: ServerContext, names: [String]) {
    for name in names { if let value = context.parameters[name[...]] { append(value, for: name) } }
  }

  mutating func append(_ value: Substring, for name: String) { values.append((name, value)) }

  /// A parameter, its escapes undone; nil where it is not there.
  subscript(name: String) -> String? {
    guard let value = values.first(where: { $0.name == name })?.value else { return nil }
    return value.utf8.contains(UInt8(ascii: "%"))
      ? String(value).removingPercentEncoding : String(value)
  }

  func required(_ name: String) throws(Problem) -> String {
    guard let value = self[name], !value.isEmpty else {
      throw .badRequest("the path has no \(name)")
    }
    // The database has no such character.
    guard !value.utf8.contains(0) else {
      throw .badRequest("the \(name) in the path has a character 0")
    }
    return value
  }
}

/// A path as a route declares it: parts between slashes, those in braces are parameters.
struct PathPattern: Sendable {
  private enum Part: Sendable {
    case text(String)
    case parameter(String)
  }

  private let parts: [Part]

  init(_ path: String) {
    parts = path.split(separator: "/").map { part in
      part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .text(String(part))
    }
  }

  var names: [String] {
    parts.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
  }

  /// What stands between the slashes of a request's path; nil for a target that is no plain path.
  static func parts(of target: String) -> [Substring]? {
    let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
    guard path.first == UInt8(ascii: "/") else { return nil }
    let parts = path.dropFirst().split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    return parts.map { Substring($0) }
  }

  /// The parameters, where the parts of a path are of this pattern.
  func parameters(in given: [Substring]) -> PathParameters? {
    guard given.count == parts.count else { return nil }
    var parameters = PathParameters()
    // What tells patterns apart stands at their end.
    for (part, value) in zip(parts, given).reversed() {
      switch part {
      case .text(let text): if text != value { return nil }
      case .parameter(let name): parameters.append(value, for: name)
      }
    }
    return parameters
  }
}

internal import HTTPTypes
internal import NIOHTTP1

/// The header fields of a request, as the router has them or as they were read: names are the same in any case.
protocol HeaderFields: Sendable {
  /// The values of a name, between commas; nil where it is not there.
  subscript(name: HTTPField.Name) -> String? { get }
  subscript(values name: HTTPField.Name) -> [String] { get }
}

extension HTTPFields: HeaderFields {}

extension HTTPHeaders: HeaderFields {
  subscript(name: HTTPField.Name) -> String? {
    guard let first = first(name: name.rawName) else { return nil }
    let all = self[values: name]
    return all.count == 1 ? first : all.joined(separator: name == .cookie ? "; " : ", ")
  }

  subscript(values name: HTTPField.Name) -> [String] { self[name.rawName] }
}

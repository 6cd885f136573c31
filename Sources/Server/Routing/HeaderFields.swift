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
    guard contains(name: name.rawName) else { return nil }
    let all = self[values: name]
    return all.count == 1 ? all[0] : all.joined(separator: name == .cookie ? "; " : ", ")
  }

  subscript(values name: HTTPField.Name) -> [String] {
    self[name.rawName].map(\.withoutTrailingBlanks)
  }
}

extension String {
  /// The decoder leaves those that stand behind a value.
  fileprivate var withoutTrailingBlanks: String {
    func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    guard let last = utf8.last, isBlank(last) else { return self }
    return String(decoding: utf8.reversed().drop(while: isBlank).reversed(), as: UTF8.self)
  }
}

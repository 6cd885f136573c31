import Foundation

/// Reads comma-separated values (RFC 4180) from a descriptor, a record at a time.
///
/// Lines end in LF or CRLF; a quoted field may hold commas, line ends and doubled quotes. An empty
/// unquoted field is a missing value, as in PostgreSQL's COPY. Memory is one buffer and one record.
struct CSVReader: ~Copyable {
  struct Record {
    /// Where the record begins, counted from 1.
    var line: Int
    var fields: [String?]
  }

  /// What is wrong with the text, and where.
  struct Malformed: Error {
    var line: Int
    var reason: String
  }

  private let descriptor: Int32
  private let ownsDescriptor: Bool
  private var buffer: [UInt8] = []
  private var position = 0
  private var line = 1
  private var isAtEnd = false

  /// A file, or standard input where the path is `-`.
  init(path: String) throws {
    if path == "-" {
      descriptor = STDIN_FILENO
      ownsDescriptor = false
    } else {
      descriptor = open(path, O_RDONLY | O_CLOEXEC)
      ownsDescriptor = true
      if descriptor < 0 { throw CommandError.unreadable(path, errno) }
    }
  }

  deinit {
    if ownsDescriptor, descriptor >= 0 { close(descriptor) }
  }

  /// The next record; nil at the end. Empty lines are passed over.
  mutating func next() throws -> Record? {
    while let byte = try peek(), byte == newline || byte == carriageReturn {
      position += 1
      if byte == newline { line += 1 }
    }
    guard try peek() != nil else { return nil }
    var record = Record(line: line, fields: [])
    while true {
      let field = try takeField()
      record.fields.append(field)
      guard let byte = try peek() else { return record }
      position += 1
      if byte == comma { continue }
      if byte == carriageReturn, try peek() == newline { position += 1 }
      line += 1
      return record
    }
  }

  private mutating func takeField() throws -> String? {
    guard try peek() == quote else { return try takePlainField() }
    let start = line
    position += 1
    var bytes: [UInt8] = []
    while let byte = try peek() {
      position += 1
      if byte == newline { line += 1 }
      guard byte == quote else {
        bytes.append(byte)
        continue
      }
      guard try peek() == quote else {
        guard let after = try peek() else { return try text(bytes[...]) }
        guard after == comma || after == newline || after == carriageReturn else {
          throw Malformed(line: line, reason: "text follows a closing quote")
        }
        return try text(bytes[...])
      }
      position += 1
      bytes.append(quote)
    }
    throw Malformed(line: start, reason: "a quoted field does not end")
  }

  private mutating func takePlainField() throws -> String? {
    var bytes: [UInt8] = []
    while try peek() != nil {
      let from = position
      while position < buffer.count {
        let byte = buffer[position]
        if byte == comma || byte == newline || byte == carriageReturn {
          if bytes.isEmpty { return from == position ? nil : try text(buffer[from..<position]) }
          bytes += buffer[from..<position]
          return try text(bytes[...])
        }
        position += 1
      }
      bytes += buffer[from..<position]
    }
    return bytes.isEmpty ? nil : try text(bytes[...])
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Malformed(line: line, reason: "the text is not UTF-8")
    }
    return text
  }

  private mutating func peek() throws -> UInt8? {
    if position < buffer.count { return buffer[position] }
    if isAtEnd { return nil }
    var block = [UInt8](repeating: 0, count: 1 << 18)
    var count = -1
    repeat {
      count = block.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    } while count < 0 && errno == EINTR
    if count < 0 { throw CommandError.unreadable("standard input", errno) }
    isAtEnd = count == 0
    buffer = Array(block.prefix(count))
    position = 0
    return buffer.first
  }
}

private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
private let comma = UInt8(ascii: ",")
private let quote = UInt8(ascii: "\"")

/// Writes comma-separated values, quoting what would be read otherwise.
enum CSVText {
  static func line(_ fields: [String?]) -> String {
    fields.map(field).joined(separator: ",") + "\n"
  }

  private static func field(_ text: String?) -> String {
    guard let text else { return "" }
    let needsQuotes =
      text.isEmpty || text.utf8.contains { $0 == comma || $0 == quote || $0 == newline || $0 == 13 }
    return needsQuotes ? "\"" + text.replacing("\"", with: "\"\"") + "\"" : text
  }
}

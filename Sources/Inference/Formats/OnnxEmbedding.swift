internal import Foundation

extension Model {
  /// An ONNX file with the data of its tensors within, where it keeps some in files beside it.
  ///
  /// Files of other formats, and ONNX files that are whole, stay as they are.
  ///
  /// - Parameters:
  ///   - directory: The folder of the file, in which or below which the others are.
  ///   - limit: Bytes that the whole may have.
  /// - Throws: `.malformed` for a file that is not there or is outside of the folder, `.truncated` for
  ///   one that ends early, `.tooLarge` where all together are over the limit.
  /// - Complexity: Linear in the bytes; each is copied once.
  public static func embedding(
    _ bytes: [UInt8], directory: String, limit: Int = ModelLimits().byteCount
  ) throws(ModelError) -> [UInt8] {
    guard (try? ModelFormat(sniffing: bytes)) == .onnx else { return bytes }
    var embedding = OnnxEmbedding(bytes, ExternalFiles(folder: directory), limit: limit)
    return try embedding.whole() ?? bytes
  }
}

/// Writes an ONNX file anew with the data that its tensors keep elsewhere.
private struct OnnxEmbedding {
  /// A part of the new file.
  private enum Piece {
    case own(Range<Int>)
    case new([UInt8])
    case data(Data)

    var count: Int {
      switch self {
      case .own(let range): range.count
      case .new(let bytes): bytes.count
      case .data(let data): data.count
      }
    }
  }

  /// Messages in which a tensor may be, and under which numbers; all others stay as they are.
  private enum Message {
    case model, graph, node, attribute, function, tensor, sparse

    func field(_ number: Int) -> Message? {
      switch (self, number) {
      case (.model, 7), (.attribute, 6), (.attribute, 11): .graph
      case (.model, 25): .function
      case (.graph, 1), (.function, 7): .node
      case (.graph, 5), (.attribute, 5), (.attribute, 10), (.sparse, 1), (.sparse, 2): .tensor
      case (.graph, 15), (.attribute, 22), (.attribute, 23): .sparse
      case (.node, 5), (.function, 11): .attribute
      default: nil
      }
    }
  }

  private let bytes: [UInt8]
  private let files: ExternalFiles
  private let limit: Int
  private var added = 0

  init(_ bytes: [UInt8], _ files: ExternalFiles, limit: Int) {
    (self.bytes, self.files, self.limit) = (bytes, files, limit)
  }

  /// The new file; nil where the old one is whole.
  mutating func whole() throws(ModelError) -> [UInt8]? {
    let reader = ProtobufReader(bytes, nestingDepth: ModelLimits().nestingDepth)
    guard let pieces = try pieces(reader, .model) else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces {
      switch piece {
      case .own(let range): result += bytes[range]
      case .new(let bytes): result += bytes
      case .data(let data): result += data
      }
    }
    return result
  }

  /// A message's new content; nil where it stays as it is.
  private mutating func pieces(
    _ message: ProtobufReader, _ kind: Message
  ) throws(ModelError) -> [Piece]? {
    if kind == .tensor { return try tensor(message) }
    var reader = message
    var result: [Piece] = []
    var kept = message.offset
    var start = message.offset
    while let (number, value) = try reader.next() {
      defer { start = reader.offset }
      guard let inner = kind.field(number), case .bytes = value,
        let content = try pieces(reader.message(value), inner)
      else { continue }
      result.append(.own(kept..<start))
      result.append(
        .new(Self.varint(number << 3 | 2) + Self.varint(content.reduce(0) { $0 + $1.count })))
      result += content
      kept = reader.offset
    }
    guard !result.isEmpty else { return nil }
    result.append(.own(kept..<reader.offset))
    return result
  }

  private mutating func tensor(_ message: ProtobufReader) throws(ModelError) -> [Piece]? {
    var reader = message
    var result: [Piece] = []
    var external: [String: String] = [:]
    var isExternal = false
    var name = ""
    var start = message.offset
    while let (number, value) = try reader.next() {
      defer { start = reader.offset }
      switch number {
      case 13:
        let (key, text) = try OnnxModel.entry(reader.message(value))
        external[key] = text
        continue
      case 14:
        isExternal = try reader.int64(value) != 0
        continue
      case 8: name = try reader.string(value)
      default: break
      }
      result.append(.own(start..<reader.offset))
    }
    guard isExternal else { return nil }
    guard let location = external["location"] else {
      throw ModelError(.malformed, "tensor \"\(name)\" keeps its data in a file without a name")
    }
    let data = try files.bytes(
      location, offset: external["offset"].map { Int($0) ?? -1 } ?? 0,
      byteCount: external["length"].map { Int($0) ?? -1 }, tensor: name)
    added += data.count
    guard bytes.count + added <= limit else {
      throw ModelError(
        .tooLarge, "model has more than \(limit) bytes with the files beside it")
    }
    result.append(.new(Self.varint(9 << 3 | 2) + Self.varint(data.count)))
    result.append(.data(data))
    return result
  }

  private static func varint(_ value: Int) -> [UInt8] {
    var (rest, result) = (UInt64(value), [UInt8]())
    while rest >= 0x80 {
      result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return result + [UInt8(rest)]
  }
}

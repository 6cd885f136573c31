internal import HTTPTypes
internal import NIOHTTP1

/// What a connection has to know of a request's head, whoever answers it.
///
/// An object: it is kept with the head, and moved with it from hand to hand.
package final class RequestShape {
  /// Whether the client would go over to another protocol.
  package enum Upgrade {
    case none
    /// It would, and the decoder takes it so.
    case wanted
    /// It says so in a way of which it is not known how the decoder takes it.
    case unclear
  }

  /// Bytes of the body that is announced; nil where the head says of it what only the router looks at.
  package private(set) var plainLength: Int?
  /// Whether the client waits to be asked for the body.
  package private(set) var isAwaited = false
  package private(set) var upgrade = Upgrade.none
  /// Whether a body is announced that has more bytes than can be counted.
  private(set) var isTooLong = false
  /// Why the request is refused, whatever it is for.
  private(set) var problem: Problem?
  private var isExpecting = false

  /// Whether another request with this head, of whatever length, is read as this one.
  package var isUsual: Bool {
    plainLength != nil && problem == nil && upgrade == .none && !isExpecting
  }

  init(_ head: HTTPRequestHead) {
    let isCurrent = head.version == .http1_1
    var isPlain = isCurrent
    var length = 0
    var hosts = 0
    var hasUpgrade = false
    for (name, value) in head.headers {
      switch name.utf8.count {
      case 4 where name.isSame(as: "host"): hosts += 1
      case 6 where name.isSame(as: "expect"):
        isExpecting = true
        isAwaited = isCurrent && value.isSame(as: "100-continue")
      case 7 where name.isSame(as: "upgrade"): hasUpgrade = true
      case 14 where name.isSame(as: "content-length"):
        // Others than numbers, and several of them, are the decoder's to refuse.
        if let count = Int(value), value.utf8.count <= 9 {
          length = count
        } else {
          isPlain = false
          isTooLong = Int(value) == nil && value.utf8.allSatisfy(\.isDigit)
        }
      case 16 where name.isSame(as: "content-encoding"),
        17 where name.isSame(as: "transfer-encoding"):
        isPlain = false
      default: continue
      }
    }
    if hasUpgrade { upgrade = Self.upgrade(head.headers) }
    if upgrade == .unclear { isPlain = false }
    if isPlain {
      plainLength = length
      // Where there is no body nobody waits to send it.
      isAwaited = isAwaited && length > 0
    }
    if head.method == .CONNECT {
      problem = .badRequest("the server is no proxy")
    } else if hosts > 1 {
      problem = .badRequest("the request has \(hosts) fields \"Host\"")
    } else if hosts == 0, isCurrent {
      problem = .badRequest("the request has no field \"Host\"")
    }
  }

  /// Of a usual head that differs in the body's length alone.
  init(_ other: RequestShape, length: Int) {
    (plainLength, upgrade) = (length, other.upgrade)
  }

  /// As the decoder sees it: in lists of words, of either field.
  private static func upgrade(_ fields: HTTPHeaders) -> Upgrade {
    let names = ["connection", "proxy-connection"]
    let values = names.flatMap { fields[$0] }
    let isWord = { (byte: UInt8) in byte.isDigit || byte.isLetter || byte == UInt8(ascii: "-") }
    guard !fields["upgrade"].contains(""),
      values.allSatisfy({
        $0.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") }
      })
    else { return .unclear }
    var isWanted = false
    for word in names.flatMap({ fields[canonicalForm: $0] }) {
      guard word.utf8.allSatisfy(isWord) else { return .unclear }
      if String(word).isSame(as: "upgrade") { isWanted = true }
    }
    return isWanted ? .wanted : .none
  }
}

extension UInt8 {
  var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
  fileprivate var isLetter: Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20)
  }
}

extension String {
  /// Whether it is the word, in any case.
  fileprivate func isSame(as word: StaticString) -> Bool {
    word.withUTF8Buffer { word in utf8.elementsEqual(word) { $0 | 0x20 == $1 | 0x20 } }
  }
}

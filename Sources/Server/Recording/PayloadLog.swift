internal import HTTPTypes
internal import Logging
internal import Scoring

/// Logs bodies that bring rows to be scored, a share of them drawn at random, without secrets and cut short.
struct PayloadLog: Sendable {
  private let share: Double
  private let logger: Logger
  /// Bytes of a body that are logged, and that are looked through for secrets which begin among those.
  private static let longest = 2048
  private static let looked = 8192

  init(share: Double, logger: Logger) {
    self.share = share
    self.logger = logger
  }

  func note(
    _ body: [UInt8], _ fields: some HeaderFields, from origin: @autoclosure () -> RequestOrigin
  ) {
    guard share > 0, share >= 1 || Double.random(in: 0..<1) < share else { return }
    let origin = origin()
    logger.notice(
      "payload",
      metadata: [
        "request.id": "\(origin.id)", "route": "\(origin.route)",
        "type": "\(Self.type(fields[.contentType]))",
        "bytes": "\(body.count)", "body": "\(Self.shown(body))",
      ])
  }

  /// A media type without its parameters; anything else may hold anything.
  private static func type(_ field: String?) -> String {
    guard let field else { return "none" }
    let type = field.prefix { $0 != ";" }
    let isPlain = type.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"),
        UInt8(ascii: "+"), UInt8(ascii: "."):
        true
      default: false
      }
    }
    return isPlain && type.utf8.count <= 60 ? String(type) : "other"
  }

  /// Nothing of what is no text; what would begin a line of its own is written as an escape.
  static func shown(_ body: [UInt8]) -> String {
    let beginning = body.prefix(looked)
    guard !beginning.contains(0) else { return "" }
    let text = String(decoding: beginning, as: UTF8.self)
    // A character may have been cut; others are of no text.
    let strange = text.unicodeScalars.count { $0 == "\u{FFFD}" }
    guard strange <= (body.count > looked ? 1 : 0) else { return "" }
    let clean = Scrubber.scrub(text)
    var shown = ""
    var isCut = body.count > looked
    // What is half there at the end is not known for a secret.
    let most = isCut ? min(longest, clean.utf8.count - 512) : longest
    for scalar in clean.unicodeScalars {
      guard shown.utf8.count < most else {
        isCut = true
        break
      }
      shown +=
        scalar.properties.generalCategory == .control ? scalar.escaped(asASCII: true) : "\(scalar)"
    }
    return isCut ? shown + "…" : shown
  }
}

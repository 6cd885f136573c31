import NIOCore
import NIOEmbedded
import NIOHTTP1
import Server
import TestRandom
import Testing

/// Whatever a connection says is read as HTTP's own decoder reads it, also where heads are known by their bytes.
@Suite struct RequestDecoderTests {
  private static let limits = {
    var limits = NIOHTTPDecoderLimitConfiguration()
    (limits.maxHeaderFieldSize, limits.maxHeaderListSize) = (512, 512)
    limits.maxHeaderFieldCount = 12
    return limits
  }()

  private enum Part: Equatable {
    case head(HTTPRequestHead, says: String)
    case body([UInt8])
    case end(HTTPHeaders?)
    case error(String)
    case inactive
  }

  /// A connection's end, with what it was handed since it was last looked at.
  private final class Listener: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    let channel = EmbeddedChannel()
    private let decoder: RequestDecoder?
    private let lastPart: Int
    private var partCount = 0
    private var goesOver = false
    private(set) var shapes: [RequestShape] = []
    private(set) var parts: [Part] = []
    private(set) var isOver = false

    /// - Parameters:
    ///   - decoder: nil for HTTP's own.
    ///   - lastPart: Number of the part at which the connection is closed.
    init(_ decoder: RequestDecoder?, lastPart: Int = .max) throws {
      (self.decoder, self.lastPart) = (decoder, lastPart)
      let pipeline = channel.pipeline.syncOperations
      if let decoder {
        try pipeline.addHandler(ByteToMessageHandler(decoder))
      } else {
        let plain = HTTPRequestDecoder(limitConfiguration: RequestDecoderTests.limits)
        try pipeline.addHandler(ByteToMessageHandler(plain))
      }
      try pipeline.addHandler(self)
    }

    func say(_ bytes: [UInt8]) throws {
      if !isOver { try channel.writeInbound(ByteBuffer(bytes: bytes)) }
    }

    func end(half: Bool) throws {
      if half { channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
      _ = try channel.finish(acceptAlreadyClosed: true)
    }

    func takeParts() -> [Part] {
      defer { parts = [] }
      return parts
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(var head):
        let shape = (decoder ?? RequestDecoder(RequestDecoderTests.limits)).shape(of: head)
        goesOver = shape.upgrade == .wanted
        shapes.append(shape)
        // Leading zeros count for nothing.
        if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }) {
          head.headers.replaceOrAdd(name: "Content-Length", value: String(length))
        }
        let says =
          "\(head.isKeepAlive) \(shape.plainLength ?? -1) \(shape.upgrade) \(shape.isAwaited) \(shape.isUsual)"
        parts.append(.head(head, says: says))
      case .body(let bytes):
        let bytes = Array(bytes.readableBytesView)
        if case .body(let before) = parts.last {
          parts[parts.count - 1] = .body(before + bytes)
        } else {
          parts.append(.body(bytes))
        }
      case .end(let trailers):
        decoder?.end(wasLeft: goesOver)
        parts.append(.end(trailers))
      }
      partCount += 1
      if partCount == lastPart {
        isOver = true
        context.close(promise: nil)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      isOver = true
      parts.append(.error("\(error)"))
    }

    func channelInactive(context: ChannelHandlerContext) { parts.append(.inactive) }
  }

  /// Many connections of few kinds of heads each, right and wrong, in pieces, of which some end early.
  @Test func bothDecodersHandOnTheSame() throws {
    var talker = Talker(random: SplitMix64(seed: 27))
    var (heads, known) = (0, 0)
    for number in 0..<12_000 {
      let lastPart = talker.chance(10) ? talker.number(1...12) : .max
      let tried = try Listener(RequestDecoder(Self.limits), lastPart: lastPart)
      let plain = try Listener(nil, lastPart: lastPart)
      let pieces = talker.talk()
      let half = talker.chance(2)
      for place in 0...pieces.count {
        for listener in [tried, plain] {
          if place < pieces.count {
            try listener.say(pieces[place])
          } else {
            try listener.end(half: half)
          }
        }
        let (found, wanted) = (tried.takeParts(), plain.takeParts())
        let texts = { pieces.map { String(decoding: $0, as: UTF8.self) } }
        try #require(found == wanted, "connection \(number), piece \(place) of \(texts())")
      }
      // Each head that HTTP's decoder reads has a shape of its own; those kept here stay apart.
      heads += tried.shapes.count
      known += tried.shapes.count - Set(tried.shapes.map(ObjectIdentifier.init)).count
    }
    #expect(heads > 60_000 && known > heads / 4, "\(known) of \(heads)")
  }

  /// The second head of its kind is kept, and known from then on: its shape is another's only for another length.
  @Test func whatIsSaidAgainIsNotReadAgain() throws {
    let listener = try Listener(RequestDecoder(Self.limits))
    for length in [3, 5, 5, 5, 12, 12, 0, 0, 5] {
      let body = String(repeating: "b", count: length)
      try listener.say(
        Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n\(body)".utf8))
    }
    let shapes = listener.shapes
    #expect(shapes.map(\.plainLength) == [3, 5, 5, 5, 12, 12, 0, 0, 5])
    #expect(shapes.indices.dropFirst().filter { shapes[$0] === shapes[$0 - 1] } == [2, 3, 5, 7])
    try listener.end(half: false)
  }

  /// HTTP's decoder stops at a wish for another protocol, however it is said; here it goes on, as if each request
  /// came over a connection of its own.
  @Test(arguments: ["Connection", "connection", "Proxy-Connection"], [0, 5])
  func nothingIsLostBehindAWishForAnotherProtocol(name: String, length: Int) throws {
    let tail = "Content-Length: \(length)\r\n\r\n" + String(repeating: "b", count: length)
    let usual = "POST /a HTTP/1.1\r\nHost: a\r\n" + tail
    let wish = "POST /b HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\(name): x, Upgrade\r\n" + tail
    let texts = [usual, usual, usual, wish, usual, wish, wish, wish, usual, usual]
    var wanted: [Part] = []
    for text in texts {
      let plain = try Listener(nil)
      try plain.say(Array(text.utf8))
      wanted += plain.takeParts()
      try plain.end(half: false)
    }
    let bytes = Array(texts.joined().utf8)
    for size in [1, 7, wish.utf8.count, bytes.count] {
      let listener = try Listener(RequestDecoder(Self.limits))
      for start in stride(from: 0, to: bytes.count, by: size) {
        try listener.say(Array(bytes[start..<min(start + size, bytes.count)]))
      }
      let found = listener.takeParts()
      #expect(found == wanted, "pieces of \(size): \(found.count) of \(wanted.count)")
      try listener.end(half: false)
    }
  }
}

/// Makes up what clients say, and what they never should.
private struct Talker {
  var random: SplitMix64

  /// The first three are as good as any.
  private static let oddLines = [
    "Content-Length: #", "content-length:#", "CONTENT-LENGTH: \t#", "Expect: 100-continue",
    "expect: nothing", "Connection: close", "Connection: keep-alive",
    "Connection: keep-alive, close", "Connection: closed, x", "Proxy-Connection: close",
    "Upgrade: h2c", "Transfer-Encoding: chunked", "transfer-encoding:gzip, chunked",
    "Transfer-Encoding: gzip", "Transfer-Encoding:", "content-length: 0",
    "Content-Length:", "Content-Length : #", "Content-Length: # ", "Content-Length: #\t",
    "Content-Lengt\u{1A} #", "Content-Length\u{1A}#",
    "Content-Encoding: gzip", "Host: b", " folded: 1", "\tContent-Length: 3", "X:", "X : y", ": y",
    "no field", "X: a\rb", "X: a\nContent-Length: 3", "X: a\0b", "X: ä", "Ä: x",
    "X: " + String(repeating: "x", count: 100), "X: " + String(repeating: "x", count: 600),
    "X: y" + String(repeating: "\r\nX: y", count: 11),
  ]
  private static let startLines = [
    "GET / HTTP/1.1", "HEAD /a?b=c HTTP/1.1", "PUT http://a/ HTTP/1.1", "POST / HTTP/1.0",
    "POST / HTTP/2.0", "POST /", "CONNECT a:80 HTTP/1.1", "PRI * HTTP/2.0", "OPTIONS * HTTP/1.1",
    "POST  / HTTP/1.1", "SOURCE / ICE/1.1", "POST / HTTP/1.1 ",
  ]

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
  /// True once in so many times.
  mutating func chance(_ times: Int) -> Bool { number(1...times) == 1 }
  private mutating func pick<Value>(_ values: some Collection<Value>) -> Value {
    values.randomElement(using: &random)!
  }

  /// What one connection says, piece by piece.
  mutating func talk() -> [[UInt8]] {
    let kinds = (0..<number(1...3)).map { _ in kind(isOdd: chance(3)) }
    var pieces: [[UInt8]] = []
    let isWild = chance(10)
    let rarity = chance(2) ? 6 : 60
    for place in 0..<number(4...24) {
      var bytes = request(kinds[chance(6) ? kinds.count - 1 : 0])
      if chance(60) { spoil(&bytes) }
      // The first ones are whole, mostly, so that their heads are kept.
      let isWhole = place < 4 && !isWild
      if !isWhole, chance(rarity), let before = pieces.popLast() { bytes = before + bytes }
      while !isWhole, chance(rarity), bytes.count > 1 {
        let cut = number(1...bytes.count - 1)
        pieces.append(Array(bytes[..<cut]))
        bytes.removeFirst(cut)
      }
      pieces.append(bytes)
    }
    if chance(3) { pieces.append(pieces.removeLast().dropLast(number(0...100))) }
    return pieces
  }

  /// The lines of a head with their ends; "#" is where the length is said.
  private mutating func kind(isOdd: Bool) -> [String] {
    var lines = [
      isOdd && chance(3) ? pick(Self.startLines) : "POST /\(number(0...1)) HTTP/1.1", "Host: a",
      "X-Request-ID: r", pick(["traceparent: 00-ab-cd-01", "Accept:*/*"]),
    ]
    if !chance(5) { lines.insert(pick(Self.oddLines[..<3]), at: number(1...4)) }
    while isOdd, chance(2) { lines.insert(pick(Self.oddLines), at: number(1...lines.count)) }
    var ended = (lines + [""]).map { $0 + "\r\n" }
    if isOdd, chance(6) {
      let place = number(0...lines.count)
      ended[place] = (lines + [""])[place] + pick(["\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", ""])
    }
    if isOdd, chance(10) { ended.insert(pick(["\r\n", "\n", "\r", " "]), at: 0) }
    return ended
  }

  private mutating func request(_ kind: [String]) -> [UInt8] {
    let length = pick([0, 5, 5, 5, 5, 5, 5, 5, 31, 400])
    var said = String(length)
    if chance(40) {
      said = pick([
        "0\(length)", "000000000\(length)", "+\(length)", "-0", "", "\(length),\(length)",
        "\(length) \(length)", "0x\(length)", "\(length)x", "9999999999", "18446744073709551621",
      ])
    }
    let head = kind.joined().replacing("#", with: said)
    guard kind.contains(where: { $0.contains(": chunked") }) else {
      guard kind.contains(where: { $0.contains("#") }) else { return Array(head.utf8) }
      return Array(head.utf8) + body(chance(60) ? max(0, length + pick([-1, 1])) : length)
    }
    var text = ""
    for _ in 0..<number(0...2) { text += pick(["3\r\nabc\r\n", "A;x=y\r\n0123456789\r\n"]) }
    text += "0\r\n" + (chance(3) ? "X-Sum: 1\r\nContent-Length: 4\r\n" : "")
    return Array((head + text + pick(["\r\n", "\r\n", "\r\n", "\n", ""])).utf8)
  }

  /// Bytes, of which some look like requests.
  private mutating func body(_ count: Int) -> [UInt8] {
    let text = pick([
      "{}", "\r\n", "POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "0\r\n\r\n",
    ])
    if chance(4) { return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    let bytes = Array(text.utf8)
    return (0..<count).map { bytes[$0 % bytes.count] }
  }

  /// Changes one byte, mostly of the head.
  private mutating func spoil(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    let place = number(0...min(bytes.count, 120) - 1)
    switch number(0...3) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 1: bytes[place] ^= 0x20
    case 2: bytes.remove(at: place)
    default: bytes.insert(pick(Array("\r\n :,0\t".utf8)), at: place)
    }
  }
}

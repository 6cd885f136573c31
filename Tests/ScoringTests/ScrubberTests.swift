import Foundation
import Logging
import Scoring
import TestSupport
import Testing

/// What is a secret by its form is taken out of text; what only looks a little like one stays.
@Suite struct ScrubberTests {
  private static let pem = """
    -----BEGIN PRIVATE KEY-----
    MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDFqWP3hushhushhush
    -----END PRIVATE KEY-----
    """
  private static let token =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lkLnRlc3QifQ.c2lnbmF0dXJl"

  /// Each with what is left of it.
  private static let secrets: [(text: String, left: String)] = [
    // Header fields.
    ("Authorization: Basic bWU6aHVzaA==", "Authorization: [redacted]"),
    ("authorization: Digest username=\"me\"", "authorization: [redacted]"),
    (#"{"Authorization": "Bearer abc"}"#, #"{"Authorization": "[redacted]"}"#),
    ("Cookie: a=b; c=d\nHost: x", "Cookie: [redacted]\nHost: x"),
    ("X-API-Key: hush", "X-API-Key: [redacted]"),
    // Tokens.
    ("sent Bearer mF_9.B5f-4.1JqM to", "sent Bearer [redacted] to"),
    ("BEARER abcdefghijklmnopqrstuvwx", "BEARER [redacted]"),
    ("basic bWU6aHVzaDE=", "basic [redacted]"), ("Basic aHVzaDpodXNo", "Basic [redacted]"),
    ("the token \(token) is", "the token [redacted] is"),
    ("\"\(token.prefix(40))", "\"[redacted]"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[redacted]"),
    ("AKIAIOSFODNN7EXAMPLE.", "[redacted]."),
    ("use xoxb-17653672481-19874698323", "use [redacted]"),
    ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[redacted]"),
    // Keys of the server, whose ids may be known.
    ("rck_3f1c0a9be4d2_K8sYx-0_aZ", "rck_3f1c0a9be4d2_[redacted]"),
    ("Bearer rck_3f1c0a9be4d2_K8sYx-0_aZ", "Bearer rck_3f1c0a9be4d2_[redacted]"),
    ("no model \"rck_a_b\"", "no model \"rck_a_[redacted]\""),
    // Named values.
    ("host=db password=hush user=me", "host=db password=[redacted] user=me"),
    ("password='it\\'s hush' user=me", "password='[redacted]' user=me"),
    ("PGPASSWORD=hush rowcast", "PGPASSWORD=[redacted] rowcast"),
    (#"{"password":"hu\"sh","user":"me"}"#, #"{"password":"[redacted]","user":"me"}"#),
    (#""{\"password\":\"hush\",\"a\":1}""#, #""{\"password\":\"[redacted]\",\"a\":1}""#),
    (#"{"pwd": 1234}"#, #"{"pwd": [redacted]}"#),
    ("?client_secret=hush&a=b", "?client_secret=[redacted]&a=b"),
    ("aws_secret_access_key = wJalrXUtnFEMI", "aws_secret_access_key = [redacted]"),
    ("the password: hush, then", "the password: [redacted], then"),
    ("?token=abcdef12", "?token=[redacted]"),
    ("password='never closed", "password='[redacted]"),
    // URIs.
    ("postgresql://me:hush@db.example/app", "postgresql://me:[redacted]@db.example/app"),
    ("redis://:hu@sh@cache:6379 and", "redis://:[redacted]@cache:6379 and"),
    (#"amqp:\/\/me:hush@mq\/a"#, #"amqp:\/\/me:[redacted]@mq\/a"#),
    // Blocks.
    ("key \(pem) end", "key [redacted] end"),
    (String(pem.prefix(60)), "[redacted]"),
    // Cards: Visa, Mastercard old and new, American Express, Diners, Discover, JCB, UnionPay.
    ("card 4111111111111111.", "card [redacted]."),
    ("4111 1111 1111 1111 12/29", "[redacted] 12/29"),
    ("17 5500-0000-0000-0004", "17 [redacted]"), ("2223003122003222", "[redacted]"),
    ("378282246310005", "[redacted]"), ("3782 822463 10005", "[redacted]"),
    ("3056 930902 5904", "[redacted]"), ("6011111111111117", "[redacted]"),
    ("3530111333300000", "[redacted]"), ("6200000000000005", "[redacted]"),
    ("{\"n\":4111111111111111}", "{\"n\":[redacted]}"),
    ("№4111111111111111", "№[redacted]"), ("card_4222222222222", "card_[redacted]"),
    // Several, and beside letters of other alphabets.
    ("ü password=hush ü 4111111111111111 ü", "ü password=[redacted] ü [redacted] ü"),
    // Nobody hides one behind the mark.
    ("password=[redactedhush", "password=[redacted]"),
  ]

  @Test func secretsAreTakenOut() {
    for (text, left) in Self.secrets {
      #expect(Scrubber.scrub(text) == left)
      // What is stored without secrets is logged without more being taken.
      #expect(Scrubber.scrub(left) == left)
    }
  }

  private static let harmless = [
    "", "request", "row 3: amount is not a number", "model \"churn\" has no version 7",
    "password authentication failed for user \"me\"", "password::text", "{\"password\":null}",
    "the passwords are 12", "max_tokens=512", "token: unexpected end", "unexpected token: }",
    "bearer of bad news", "basic information", "BASIC INFORMATION", "Basic Training", "Bearer",
    "Authorization", "secretary: Ada",
    "rck_", "rck__", "rock_a_b", "rck_3f1c0a9be4d2", "eyJ", "eyJhbGci", "AKIA", "-----",
    "postgresql://me@db.example:5432/app", "https://id.example:443/a?b=c@d", "a://b", "12:30:45",
    // Orders, moments, sums, and hashes.
    "order 4111111111111112", "order 1234567890123456", "411111111111111", "41111111111111111111",
    "1763782154000", "1763782154000000", "1763782154000000000", "2026-11-22 03:29:13.123456",
    "0.4111111111111111", "4111111111111111.5", "1.4111111111111111",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "a4111111111111111", "4111111111111111b", "550e8400-e29b-41d4-a716-446655440000",
    "4111-1111-1111-1111-1111-1111", "9007199254740993", "-9223372036854775808",
    "4111 1111 1111 111", "4111 1111-1111 1111", "192.168.100.200", "+49 30 1234 5678 9012",
    "\"type\": \"text/csv\", \"bytes\": 4096", "Inference-Header-Content-Length: 4111",
  ]

  @Test func whatIsNoSecretStays() {
    for text in Self.harmless { #expect(Scrubber.scrub(text) == text) }
  }

  @Test func aTextWithoutSecretsIsNotCopied() {
    func place(_ text: String) -> UnsafePointer<UInt8>? {
      text.utf8.withContiguousStorageIfAvailable { $0.baseAddress } ?? nil
    }
    let line = String(
      repeating: "status=200 route=/v2/models/{model}/infer seconds: 0.0004 ", count: 50)
    #expect(place(line) != nil)
    #expect(place(Scrubber.scrub(line)) == place(line))
  }

  /// Whatever the bytes are, and wherever a text was cut, it ends, and what it leaves can be scrubbed again.
  @Test func everyCutOfEveryTextIsTaken() {
    for (text, _) in Self.secrets {
      for count in 0..<text.count {
        for part in [String(text.prefix(count)), String(text.suffix(count))] {
          let left = Scrubber.scrub(part)
          #expect(Scrubber.scrub(left) == left, "\(part)")
        }
      }
    }
  }

  // MARK: The log

  private struct Leak: Error, CustomStringConvertible, Sendable {
    var description: String { "password=hush" }
  }

  @Test func nothingThatIsLoggedHasSecrets() throws {
    let log = RecordedLog()
    var logger = Logger(label: "test") { _ in ScrubbingLogHandler(log.handler) }
    logger.logLevel = .debug
    logger.trace("password=hush")
    logger.info("password=hush", metadata: ["plain": "marker"])
    logger.info("a", metadata: ["b": "password=hush", "c": .stringConvertible(Leak())])
    logger.info("a", metadata: ["b": ["c": ["4111111111111111", "password=hush"]]])
    logger.info("a", metadata: ["db.password": "hush", "Authorization": "hush"])
    logger[metadataKey: "b"] = "password=hush"
    logger[metadataKey: "secret"] = "hush"
    logger.notice("a")
    logger.error("a", error: Leak())
    let all = log.lines.map { "\($0.message) \($0.metadata)" }
    #expect(all.count == 6)
    #expect(all.allSatisfy { !$0.contains("hush") && !$0.contains("4111") })
    #expect(all.allSatisfy { $0.contains(Scrubber.mark) })
    #expect(all[0].contains("marker"))
  }
}

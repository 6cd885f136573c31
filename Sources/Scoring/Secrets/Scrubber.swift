package import Logging

/// Takes secrets out of text that is about to be logged, stored or shown.
///
/// It knows them by their form: header fields that carry credentials, bearer tokens, JSON Web Tokens, keys of
/// this server and of common clouds, values called passwords or secrets, passwords in URIs, PEM blocks, and
/// numbers that are a payment card's. A password that looks like a word is not known by its form, so what holds
/// one must not be logged in the first place.
///
/// Of the numbers that have a card's length and beginning and are none, one in ten is taken for one.
package enum Scrubber {
  /// What stands in a secret's place.
  package static let mark = "[redacted]"

  /// The text without its secrets; the same storage where it has none.
  ///
  /// - Complexity: One pass; nothing is allocated for a text without secrets.
  package static func scrub(_ text: String) -> String { scrubbed(text) ?? text }

  /// nil where it has none.
  private static func scrubbed(_ text: String) -> String? {
    let secrets =
      text.utf8.withContiguousStorageIfAvailable { SecretScanner($0).secrets() }
      ?? Array(text.utf8).withUnsafeBufferPointer { SecretScanner($0).secrets() }
    guard !secrets.isEmpty else { return nil }
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var end = 0
    for secret in secrets {
      result += bytes[end..<secret.lowerBound]
      result += Array(mark.utf8)
      end = secret.upperBound
    }
    result += bytes[end...]
    return String(decoding: result, as: UTF8.self)
  }

  /// Whether a value of this name is a secret whatever it looks like.
  package static func isSecret(name: String) -> Bool {
    var name = name
    return name.withUTF8 { SecretName(endOf: $0, at: $0.count) != nil }
  }
}

extension Scrubber {
  /// The metadata without their secrets, all the way down; not copied where they have none.
  static func scrub(_ metadata: Logger.Metadata) -> Logger.Metadata {
    var scrubbed = metadata
    for (key, value) in metadata {
      if isSecret(name: key) {
        scrubbed[key] = .string(mark)
      } else if let clean = Self.scrubbed(value) {
        scrubbed[key] = clean
      }
    }
    return scrubbed
  }

  /// nil where it has none.
  private static func scrubbed(_ value: Logger.MetadataValue) -> Logger.MetadataValue? {
    switch value {
    case .string(let text): scrubbed(text).map { .string($0) }
    // What describes itself may do so otherwise the next time.
    case .stringConvertible(let own): .string(scrub(own.description))
    case .array(let values): .array(values.map { scrubbed($0) ?? $0 })
    case .dictionary(let members): .dictionary(scrub(members))
    }
  }
}

/// Passes on what is logged, without secrets: the last thing before a log's own writer.
package struct ScrubbingLogHandler: LogHandler {
  private var sink: any LogHandler

  package init(_ sink: any LogHandler) { self.sink = sink }

  package var logLevel: Logger.Level {
    get { sink.logLevel }
    set { sink.logLevel = newValue }
  }

  package var metadataProvider: Logger.MetadataProvider? {
    get { sink.metadataProvider }
    set {
      sink.metadataProvider = newValue.map { own in
        Logger.MetadataProvider { Scrubber.scrub(own.get()) }
      }
    }
  }

  package var metadata: Logger.Metadata {
    get { sink.metadata }
    set { sink.metadata = Scrubber.scrub(newValue) }
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { sink[metadataKey: key] }
    set { sink[metadataKey: key] = newValue.map { Scrubber.scrub([key: $0])[key]! } }
  }

  package func log(event: LogEvent) {
    var event = event
    event.message = "\(Scrubber.scrub(event.message.description))"
    event.metadata = event.metadata.map { Scrubber.scrub($0) }
    // Handlers write it as it describes itself, which may hold anything.
    if let error = event.error {
      event.metadata = (event.metadata ?? [:]).merging(
        ["error": .string(Scrubber.scrub("\(error)"))]) { own, _ in own }
      event.error = nil
    }
    sink.log(event: event)
  }
}

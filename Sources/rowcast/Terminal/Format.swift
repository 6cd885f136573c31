import Foundation

/// Numbers and lengths of time as people read them; the same in each locale.
enum Format {
  /// `1234567` as `1,234,567`.
  static func count(_ value: some BinaryInteger) -> String {
    let digits = String(value.magnitude)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }

  static func decimal(_ value: Double, places: Int) -> String {
    String(format: "%.\(places)f", value)
  }

  /// Rates and other figures of which three digits matter.
  static func rate(_ value: Double) -> String {
    value >= 100 ? count(Int64(value.rounded())) : decimal(value, places: 1)
  }

  static func milliseconds(_ value: Double) -> String {
    value >= 100 ? count(Int64(value.rounded())) + " ms" : decimal(value, places: 2) + " ms"
  }

  /// `0.8 s`, `42 s`, `3 min 20 s`, `5 h 2 min`.
  static func length(seconds: Double) -> String {
    if seconds < 1 { return milliseconds(seconds * 1000) }
    if seconds < 10 { return decimal(seconds, places: 1) + " s" }
    let whole = Int64(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  static func bytes(_ value: some BinaryInteger) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"]
    var size = Double(value)
    var unit = 0
    while size >= 1024, unit < units.count - 1 {
      size /= 1024
      unit += 1
    }
    return unit == 0 ? "\(value) bytes" : decimal(size, places: 1) + " " + units[unit]
  }

  /// Seconds of a duration.
  static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}

/// JSON for scripts: keys sorted, one document a call.
enum JSONText {
  static func of(_ value: some Encodable, pretty: Bool = true) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting =
      pretty
      ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
      : [.sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}

internal import FoundationEssentials

/// Numbers and times as people read them.
enum ConsoleText {
  /// `1,234,567`.
  static func count(_ number: some BinaryInteger) -> String {
    let digits = String(number.magnitude)
    var text = ""
    for (place, digit) in digits.enumerated() {
      if place > 0, (digits.count - place).isMultiple(of: 3) { text += "," }
      text.append(digit)
    }
    return (number < 0 ? "-" : "") + text
  }

  /// Three or four digits that matter: `0.0123`, `12.3`, `1,234`.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-∞" : "∞" }
    let size = value.magnitude
    if size >= 1e15 || size > 0 && size < 1e-4 { return scientific(value) }
    let places =
      size >= 1000 || size == 0 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4
    let factor = [1.0, 10, 100, 1000, 10_000][places]
    let scaled = Int64((size * factor).rounded())
    let whole = scaled / Int64(factor)
    var text = (value < 0 && scaled > 0 ? "-" : "") + count(whole)
    let fraction = String(scaled % Int64(factor))
    guard places > 0 else { return text }
    var digits = String(repeating: "0", count: places - fraction.count) + fraction
    while digits.last == "0" { digits.removeLast() }
    if !digits.isEmpty { text += "." + digits }
    return text
  }

  private static func scientific(_ value: Double) -> String {
    var exponent = 0
    var mantissa = value
    while mantissa.magnitude >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa.magnitude < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    return number((mantissa * 100).rounded() / 100) + "e\(exponent)"
  }

  static func rate(_ perSecond: Double) -> String {
    perSecond >= 100
      ? count(Int64(perSecond.rounded()))
      : perSecond < 0.05 ? "0" : number((perSecond * 10).rounded() / 10)
  }

  /// `0.4 ms`, `12 ms`, `3.4 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "unknown" }
    switch max(0, seconds) {
    case 0: return "0 s"
    case ..<0.001: return "<1 ms"
    case ..<1: return "\(Int((seconds * 1000).rounded())) ms"
    case ..<10: return number((seconds * 10).rounded() / 10) + " s"
    case ..<60: return "\(Int(seconds)) s"
    case ..<3600: return pair(Int(seconds) / 60, "min", Int(seconds) % 60, "s")
    case ..<86_400: return pair(Int(seconds) / 3600, "h", Int(seconds) % 3600 / 60, "min")
    default: return pair(Int(seconds) / 86_400, "d", Int(seconds) % 86_400 / 3600, "h")
    }
  }

  /// In one unit.
  private static func roughly(_ seconds: Double) -> String {
    switch seconds {
    case ..<60: "\(Int(seconds)) s"
    case ..<7200: "\(Int(seconds / 60)) min"
    case ..<172_800: "\(Int(seconds / 3600)) h"
    default: "\(Int(seconds / 86_400)) d"
    }
  }

  private static func pair(_ many: Int, _ unit: String, _ few: Int, _ part: String) -> String {
    few == 0 ? "\(many) \(unit)" : "\(many) \(unit) \(few) \(part)"
  }

  static func share(_ value: Double) -> String {
    let percent = value * 100
    return
      (percent >= 10 || percent == 0 ? "\(Int(percent))" : number((percent * 10).rounded() / 10))
      + " %"
  }

  static func bytes(_ count: Int64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"]
    var value = Double(count)
    var unit = 0
    while value >= 1000, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
    return number(unit == 0 ? value : (value * 10).rounded() / 10) + " " + units[unit]
  }

  /// A moment, with how long ago it was.
  static func moment(_ epoch: Double, now: Double = Date().timeIntervalSince1970) -> Markup {
    let date = Date(timeIntervalSince1970: epoch)
    let exact = date.formatted(.iso8601)
    let age = now - epoch
    let text = age < 1 ? "now" : "\(roughly(age)) ago"
    return "<time datetime=\"\(exact)\" title=\"\(exact)\">\(text)</time>"
  }
}

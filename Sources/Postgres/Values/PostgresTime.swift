public import FoundationEssentials

/// PostgreSQL counts time from 2000-01-01 00:00 UTC: dates in days, timestamps in microseconds.
///
/// The least and the greatest integer stand for `-infinity` and `infinity`.
public enum PostgresTime {
  /// 2000-01-01 00:00 UTC in seconds since 1970.
  public static let epoch: Int64 = 946_684_800

  /// The microseconds that PostgreSQL stores for the moment, rounded to the nearest.
  public static func microseconds(of date: Date) -> Int64 {
    let value = ((date.timeIntervalSince1970 - Double(epoch)) * 1_000_000).rounded()
    if value.isNaN || value >= 0x1p63 { return .max }
    return value <= -0x1p63 ? .min : Int64(value)
  }

  /// The moment of a stored timestamp; infinite ones are `.distantPast` and `.distantFuture`.
  public static func date(microseconds: Int64) -> Date {
    switch microseconds {
    case .min: .distantPast
    case .max: .distantFuture
    default: Date(timeIntervalSince1970: Double(epoch) + Double(microseconds) / 1_000_000)
    }
  }

  /// Midnight UTC of a stored date; infinite ones are `.distantPast` and `.distantFuture`.
  public static func date(days: Int32) -> Date {
    switch days {
    case .min: .distantPast
    case .max: .distantFuture
    default: Date(timeIntervalSince1970: Double(epoch) + Double(days) * 86_400)
    }
  }
}

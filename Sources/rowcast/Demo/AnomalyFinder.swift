import Foundation
import Postgres

/// Looks for anomalies that were not shown yet.
struct AnomalyFinder {
  private let names: [String: (place: String, unit: String)]
  /// Keys below are taken to be scored and shown.
  private var watermark: Int64
  private var seen: Set<Int64> = []
  private(set) var found = 0
  private var linesLeft = Self.linesPerSecond
  /// Sensors that had a line in this second; a stuck one is odd with each reading.
  private var shown: Set<String> = []
  private var hidden = 0

  private static let linesPerSecond = 6

  init(names: [String: (place: String, unit: String)], after key: Int64) {
    self.names = names
    watermark = key
  }

  /// Lines for the new ones; the rest of a flood is counted in one line.
  mutating func find(on connection: Connection, rate: Double) throws(PostgresError) -> [String] {
    let rows = try connection.run(
      """
      select r.reading_id, r.device, r.sensor, r.value, p.decision::float8
      from predictions.sensor_anomaly as p
      join public.sensor_reading as r using (reading_id)
      where p.label = -1 and p.reading_id > \(watermark)
      order by r.reading_id
      """)
    var lines: [String] = []
    var newest = watermark
    for row in 0..<rows.count {
      let key = try rows.value(row, 0, as: Int64.self)
      newest = max(newest, key)
      guard seen.insert(key).inserted else { continue }
      found += 1
      let device = try rows.value(row, 1, as: Int32.self)
      let sensor = "\(device).\(try rows.value(row, 2, as: Int32.self))"
      guard linesLeft > 0, shown.insert(sensor).inserted else {
        hidden += 1
        continue
      }
      linesLeft -= 1
      lines.append(try line(rows, row, key, sensor))
    }
    // Predictions become visible out of order, but not by more than a few seconds' worth.
    let lag = Int64(rate * 5) + 2_000
    if newest - lag > watermark {
      watermark = newest - lag
      seen = seen.filter { $0 > watermark }
    }
    return lines
  }

  /// A line for those of the last second that got none of their own. Called each second.
  mutating func takeHidden() -> String? {
    defer { (hidden, linesLeft, shown) = (0, Self.linesPerSecond, []) }
    return hidden > 0 ? "and \(hidden) more" : nil
  }

  private func line(
    _ rows: Rows, _ row: Int, _ key: Int64, _ sensor: String
  ) throws(PostgresError) -> String {
    let value = try rows.value(row, 3, as: Double.self)
    let decision = try rows.value(row, 4, as: Double.self)
    let name = names[sensor] ?? (place: sensor, unit: "")
    let place = name.place.padding(toLength: 20, withPad: " ", startingAt: 0)
    let reading = Format.decimal(value, places: 2)
    let padding = String(repeating: " ", count: max(0, 9 - reading.count))
    let unit = name.unit.padding(toLength: 5, withPad: " ", startingAt: 0)
    return "\(place)\(padding)\(reading) \(unit)  decision \(Format.decimal(decision, places: 2))"
      + "  reading \(key)"
  }
}

import Foundation
import Postgres
import Scoring

/// The demo from the first line to the last: sets up, streams, shows, checks.
struct DemoShow: Sendable {
  let appliance: Appliance
  let worker: Worker
  let manifest: DemoManifest
  let folder: String
  let rate: Double
  let seconds: Double?
  let interruption: Interruption
  let keptIn: String?

  /// Returns whether each row has exactly one prediction.
  func run() throws -> Bool {
    let connection = try Connection(
      appliance.database.setting("application_name", to: "rowcast demo"))
    var screen = DemoScreen()
    screen.line(
      "PostgreSQL \(appliance.server.majorVersion) is up after "
        + "\(Format.length(seconds: ProcessClock.secondsSinceStart())); "
        + "\(worker.configuration.laneCount) lanes")
    try setUp(connection)
    let stream = DemoStream(appliance.database, manifest, rate: rate)
    let before = try rowCount(connection)
    try stream.start()
    screen.line(
      "\(manifest.models.count) models registered, one scorer that routes by device and sensor")
    screen.line(
      "first prediction visible "
        + "\(Format.length(seconds: ProcessClock.secondsSinceStart())) after the program's start")
    screen.line()
    screen.line("look at it yourself, while it runs:")
    screen.line("  psql \"\(appliance.connectionKeywords)\"")
    screen.line()

    let start = ContinuousClock.now
    try watch(stream, connection, &screen, from: start, before: before)
    try stream.stop()
    let length = Format.seconds(.now - start)
    return try conclude(stream, connection, &screen, length: length)
  }

  private func rowCount(_ connection: Connection) throws -> Int64 {
    try connection.run("select coalesce(max(reading_id), 0) from public.sensor_reading")
      .value(0, 0, as: Int64.self)
  }

  // MARK: Setting up

  private func setUp(_ connection: Connection) throws {
    let isNew = try connection.run("select to_regclass('public.sensor_reading') is null")
      .value(0, 0, as: Bool.self)
    if isNew {
      try connection.runScript(
        """
        create table public.sensor_reading (
            reading_id bigint generated always as identity primary key,
            device int not null,
            sensor int not null,
            value float8 not null,
            at timestamptz not null default clock_timestamp()
        );
        comment on table public.sensor_reading is 'What the demo''s sensors report.';
        """)
    }
    for entry in manifest.models {
      let bytes = try ModelFile.bytes(path: folder + "/" + entry.file)
      try connection.run(
        """
        select rowcast.register_model(
          name => \(entry.name), artifact => \(bytes), alias => 'champion',
          description => \("\(entry.deviceName), \(entry.sensorName) (\(entry.unit))"))
        """)
    }
    for entry in manifest.models {
      try connection.run("call rowcast.wait_for_model(\(entry.name))")
    }
    if isNew {
      try connection.run(
        """
        select count(*) from rowcast.create_scorer(
          name => 'sensor_anomaly', source => 'public.sensor_reading',
          route => 'anomaly_{device}_{sensor}')
        """)
    }
  }

  // MARK: Streaming

  private func watch(
    _ stream: DemoStream, _ connection: Connection, _ screen: inout DemoScreen,
    from start: ContinuousClock.Instant, before: Int64
  ) throws {
    var anomalies = AnomalyFinder(
      names: Dictionary(
        uniqueKeysWithValues: manifest.models.map {
          ("\($0.device).\($0.sensor)", (place: "\($0.deviceName) \($0.sensorName)", unit: $0.unit))
        }), after: before)
    var report = start + .seconds(1)
    var last = (rows: stream.inserted, scored: worker.statistics.snapshot().rowsScored, at: start)
    while !interruption.isSet, !stream.hasFailed {
      if let seconds, ContinuousClock.now - start >= .seconds(seconds) { break }
      _ = interruption.wakeUp.wait(timeout: .milliseconds(100))
      for line in try anomalies.find(on: connection, rate: rate) { screen.anomaly(line) }
      let now = ContinuousClock.now
      guard now >= report else { continue }
      let span = Format.seconds(now - last.at)
      let scored = worker.statistics.snapshot().rowsScored
      let inserted = stream.inserted
      let recent = stream.takeRecentLatencies()
      if let line = anomalies.takeHidden() { screen.anomaly(line) }
      screen.status(
        Self.status(
          seconds: Format.seconds(now - start), inserted: inserted,
          insertRate: Double(inserted - last.rows) / span,
          scoreRate: Double(scored - last.scored) / span, latencies: recent,
          anomalies: anomalies.found))
      last = (inserted, scored, now)
      report = max(report + .seconds(1), now)
    }
  }

  private static func status(
    seconds: Double, inserted: Int64, insertRate: Double, scoreRate: Double, latencies: Sample,
    anomalies: Int
  ) -> String {
    func padded(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    let p50 = latencies.quantile(0.5).map(Format.milliseconds) ?? "-"
    let p99 = latencies.quantile(0.99).map(Format.milliseconds) ?? "-"
    return [
      padded("\(Int(seconds.rounded())) s", 6), padded(Format.count(inserted), 9) + " rows",
      padded(Format.rate(insertRate), 6) + " in/s", padded(Format.rate(scoreRate), 6) + " scored/s",
      "p50 " + padded(p50, 8), "p99 " + padded(p99, 8), "\(anomalies) anomalies",
    ].joined(separator: "  ")
  }

  // MARK: Checking

  private func conclude(
    _ stream: DemoStream, _ connection: Connection, _ screen: inout DemoScreen, length: Double
  ) throws -> Bool {
    let check = try DemoCheck.settled(connection, within: .seconds(30))
    let counts = stream.snapshot()
    screen.heading("After \(Format.length(seconds: length))")
    screen.line("  rows inserted         \(Format.count(check.rows))")
    screen.line("  rows predicted        \(Format.count(check.predicted))")
    screen.line(
      "  missing, orphaned     \(check.missing), \(check.orphaned)   failures \(check.failures)")
    screen.line(
      "  anomalies found       \(Format.count(check.anomalies))")
    screen.line(
      "  inserts per second    \(Format.rate(Double(counts.inserted) / length))")
    if let p50 = counts.latencies.quantile(0.5), let p99 = counts.latencies.quantile(0.99) {
      screen.line(
        "  commit to prediction  p50 \(Format.milliseconds(p50)), p99 \(Format.milliseconds(p99)) "
          + "(\(Format.count(counts.latencies.count)) probe rows, seen by a second connection)")
    }
    try showQueries(connection, &screen)
    screen.line()
    if let keptIn {
      screen.line("The database stays. Look again with \"rowcast up --data-dir \(keptIn)\".")
    } else {
      screen.line("The database goes away now; \"rowcast demo --data-dir .data/demo\" keeps it.")
    }
    screen.line(
      check.isComplete
        ? "Each row has exactly one prediction." : "NOT each row has exactly one prediction.")
    return check.isComplete
  }

  private func showQueries(_ connection: Connection, _ screen: inout DemoScreen) throws {
    screen.heading("SQL to try, and what it says now")
    for query in DemoQuery.all {
      screen.line()
      for line in query.split(separator: "\n") { screen.line("  " + line) }
      screen.line()
      let table = try Listing.table(query, on: connection)
      for line in table.split(separator: "\n") { screen.line("    " + line) }
    }
  }
}

import Foundation
import Postgres

/// Whether each row has exactly one prediction, by SQL over both tables.
struct DemoCheck {
  var rows: Int64
  var predicted: Int64
  /// Rows without a prediction.
  var missing: Int64
  /// Predictions without a row.
  var orphaned: Int64
  var failures: Int64
  var anomalies: Int64

  /// Two predictions of one row cannot be: the key is the table's primary key.
  var isComplete: Bool {
    rows > 0 && rows == predicted && missing == 0 && orphaned == 0 && failures == 0
  }

  /// The state once everything is scored, or when the time is over.
  static func settled(_ connection: Connection, within limit: Duration) throws -> DemoCheck {
    let clock = ContinuousClock()
    let end = clock.now + limit
    var check = try DemoCheck(connection)
    while !check.isComplete, clock.now < end {
      Thread.sleep(forTimeInterval: 0.02)
      check = try DemoCheck(connection)
    }
    return check
  }

  private init(_ connection: Connection) throws(PostgresError) {
    let counts = try connection.run(
      """
      select count(r.reading_id), count(p.reading_id),
             count(*) filter (where p.reading_id is null),
             count(*) filter (where r.reading_id is null),
             (select count(*) from predictions.sensor_anomaly_failure),
             count(*) filter (where p.label = -1)
      from public.sensor_reading as r
      full join predictions.sensor_anomaly as p using (reading_id)
      """)
    rows = try counts.value(0, 0, as: Int64.self)
    predicted = try counts.value(0, 1, as: Int64.self)
    missing = try counts.value(0, 2, as: Int64.self)
    orphaned = try counts.value(0, 3, as: Int64.self)
    failures = try counts.value(0, 4, as: Int64.self)
    anomalies = try counts.value(0, 5, as: Int64.self)
  }
}

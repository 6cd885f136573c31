import Foundation

/// What a run of the benchmark found, as `--json` prints it.
struct BenchReport: Encodable {
  struct Setting: Encodable {
    var machine: String
    var cores: Int
    var postgresql: String
    /// Settings of the server that figures depend on.
    var settings: [String: String]
    var commit: String?
    var release = Rowcast.release
    var lanes: Int
    var repeats: Int
  }

  struct Bulk: Encodable {
    var rows: Int
    var features: Int
    /// Rows per second, a value a repeat.
    var scored: [Double]
    var read: [Double]
    var written: [Double]
    /// Medians.
    var rowsPerSecond: Double
    var readRowsPerSecond: Double
    var writtenRowsPerSecond: Double
    /// 1 / (1/read + 1/write), of the medians.
    var floorRowsPerSecond: Double
    var ratio: Double
  }

  struct Latency: Encodable {
    struct Quantiles: Encodable {
      var p50: Double
      var p99: Double
      var count: Int

      init?(_ sample: Sample) {
        guard let p50 = sample.quantile(0.5), let p99 = sample.quantile(0.99) else { return nil }
        (self.p50, self.p99, count) = (p50, p99, sample.count)
      }
    }
    /// Milliseconds from sending the insert until the prediction is seen.
    var fromInsert: Quantiles
    /// Milliseconds from the insert's commit until the prediction is seen.
    var fromCommit: Quantiles
    /// Milliseconds from sending the insert until the bare relay's row is seen.
    var floor: Quantiles
    var ratio: Double
  }

  struct Writers: Encodable {
    var writers: Int
    var roundSeconds: Int
    /// Commits per second, a value a round.
    var watched: [Double]
    var unwatched: [Double]
    var watchedCommitsPerSecond: Double
    var unwatchedCommitsPerSecond: Double
    var ratio: Double
    /// Rings of the doorbell during the watched rounds, and the commits in them.
    var notifications: Int
    var watchedCommits: Int
  }

  var setting: Setting
  var bulk: Bulk?
  var latency: Latency?
  var writers: Writers?
}

extension BenchReport {
  /// The tables that people read.
  var text: String {
    var lines = [
      "\(setting.machine), \(setting.cores) cores; PostgreSQL \(setting.postgresql); "
        + "rowcast \(setting.release)\(setting.commit.map { " (\($0))" } ?? "")",
      setting.settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        .joined(separator: " "),
      "\(setting.lanes) lanes, median of \(setting.repeats)",
    ]
    if let bulk { lines += [""] + bulk.lines }
    if let latency { lines += [""] + latency.lines }
    if let writers { lines += [""] + writers.lines }
    return lines.joined(separator: "\n")
  }
}

extension BenchReport.Bulk {
  fileprivate var lines: [String] {
    var table = TextTable([
      ("bulk, \(Format.count(rows)) rows x \(features) features", .left), ("rows/s", .right),
      ("of floor", .right),
    ])
    table.append(["read features (COPY out)", Format.rate(readRowsPerSecond), ""])
    table.append(["write predictions (COPY in)", Format.rate(writtenRowsPerSecond), ""])
    table.append(["floor = 1 / (1/read + 1/write)", Format.rate(floorRowsPerSecond), "1.00"])
    table.append([
      "backfill, create_scorer to last prediction", Format.rate(rowsPerSecond),
      Format.decimal(ratio, places: 2),
    ])
    return table.lines
  }
}

extension BenchReport.Latency {
  fileprivate var lines: [String] {
    var table = TextTable([
      ("latency, \(fromInsert.count) single-row inserts, idle", .left), ("p50", .right),
      ("p99", .right), ("of floor", .right),
    ])
    func row(_ title: String, _ quantiles: Quantiles, _ ratio: String) {
      table.append([
        title, Format.milliseconds(quantiles.p50), Format.milliseconds(quantiles.p99), ratio,
      ])
    }
    row("floor: insert, notify, read, insert by two connections", floor, "1.00")
    row("insert sent until prediction seen", fromInsert, Format.decimal(ratio, places: 2))
    row("insert committed until prediction seen", fromCommit, "")
    return table.lines
  }
}

extension BenchReport.Writers {
  fileprivate var lines: [String] {
    var table = TextTable([
      ("writers, \(writers) connections, rounds of \(roundSeconds) s", .left),
      ("commits/s", .right), ("of unwatched", .right),
    ])
    table.append(["unwatched", Format.rate(unwatchedCommitsPerSecond), "1.00"])
    table.append([
      "watched", Format.rate(watchedCommitsPerSecond), Format.decimal(ratio, places: 2),
    ])
    return table.lines + [
      "\(Format.count(notifications)) notifications for \(Format.count(watchedCommits)) commits"
    ]
  }
}

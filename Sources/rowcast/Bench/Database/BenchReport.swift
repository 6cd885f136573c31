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
    /// Workers that served the database before, and worked along.
    var otherWorkers: Int
  }

  var setting: Setting
  var bulk: Bulk?
  var rescore: Rescore?
  var latency: Latency?
  var writers: Writers?
  var updates: Updates?
  var mixed: Mixed?
  var heldSnapshot: HeldSnapshot?
  var workers: Workers?
  var soak: Soak?
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
    if setting.otherWorkers > 0 {
      lines.append("with \(setting.otherWorkers) workers of others, which worked along")
    }
    let parts = [
      latency?.lines, writers?.lines, updates?.lines, bulk?.lines, rescore?.lines, mixed?.lines,
      heldSnapshot?.lines, workers?.lines, soak?.lines,
    ]
    for part in parts.compactMap({ $0 }) { lines += [""] + part }
    return lines.joined(separator: "\n")
  }

  /// Whether what was to be right is; figures alone are never wrong.
  var isRight: Bool { soak?.isRight ?? true }
}

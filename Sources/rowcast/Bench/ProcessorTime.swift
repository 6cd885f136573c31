import Foundation

/// Processor time of processes, by the kernel's own count; exact to a clock tick of 10 ms each.
struct ProcessorTime: Sendable {
  /// The server's first process; nil where the server is not on this machine.
  let postmaster: Int32?

  /// - Parameter backend: A session's process, as `pg_backend_pid()` tells it.
  init(backend: Int32) {
    // Another machine's number may be somebody else's here.
    guard let session = Self.stat(backend), session.name == "postgres" else {
      postmaster = nil
      return
    }
    let parent = Self.stat(session.parent)
    postmaster = parent?.name == "postgres" ? session.parent : nil
  }

  /// Seconds of the server's processes together, those that have ended included: their time goes to
  /// the postmaster, which waits for them.
  func serverSeconds() -> Double? {
    guard let postmaster, let own = Self.stat(postmaster) else { return nil }
    let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return processes.compactMap { Int32($0).flatMap(Self.stat) }
      .filter { $0.parent == postmaster }
      .reduce(own.seconds + own.childSeconds) { $0 + $1.seconds }
  }

  /// Seconds of a process that lives.
  static func seconds(_ process: Int32) -> Double { stat(process)?.seconds ?? 0 }

  /// Bytes of memory that are a process's own, not a file's; nil once it is gone.
  static func privateBytes(_ process: Int32) -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let size = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return size * 1024
  }

  private struct Stat {
    var name: String
    var parent: Int32
    var seconds: Double
    var childSeconds: Double
  }

  private static func stat(_ process: Int32) -> Stat? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      // The second field, a name in brackets, may hold spaces.
      let start = text.firstIndex(of: "("), let end = text.lastIndex(of: ")")
    else { return nil }
    // The first of these is field 3; times are fields 14 to 17.
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 14, let parent = Int32(fields[1]) else { return nil }
    let times = fields[11...14].map { (Double($0) ?? 0) / Double(sysconf(Int32(_SC_CLK_TCK))) }
    return Stat(
      name: String(text[text.index(after: start)..<end]), parent: parent,
      seconds: times[0] + times[1], childSeconds: times[2] + times[3])
  }
}

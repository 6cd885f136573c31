internal import FoundationEssentials
internal import Glibc
internal import Scoring

extension MetricsEndpoint {
  /// The process's own, by the names that Prometheus' libraries give them.
  func addProcess(to metrics: inout MetricsText) {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    metrics.single(
      "process_cpu_seconds_total", .counter, "Processor time, of all threads.",
      seconds(usage.ru_utime) + seconds(usage.ru_stime))
    metrics.single(
      "process_resident_memory_bytes", .gauge, "Memory in use.", Double(Machine.residentByteCount))
    metrics.single(
      "rowcast_memory_limit_bytes", .gauge, "Memory that the process may use.",
      Double(Machine.memoryByteCount))
    metrics.single(
      "process_start_time_seconds", .gauge, "When the server was made, since 1970.",
      Double(startedAt))
    metrics.single(
      "process_threads", .gauge, "Threads.", Self.entryCount(of: "/proc/self/task"))
    metrics.single(
      "process_open_fds", .gauge, "Open descriptors.", Self.entryCount(of: "/proc/self/fd"))
    var limit = rlimit()
    let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    metrics.single(
      "process_max_fds", .gauge, "Descriptors that may be open.",
      isKnown ? Double(limit.rlim_cur) : nil)
  }

  private static func entryCount(of folder: String) -> Double? {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)).map { Double($0.count) }
  }
}

internal import Glibc

/// What this process may use of the machine: the container's limits, not the host's size.
public enum Machine {
  /// Cores by the cgroup's quota and the affinity mask, whichever is less; at least 1.
  public static var coreCount: Int {
    var cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    if let allowed = allowedCoreCount() { cores = min(cores, allowed) }
    if let quota = cpuQuota() { cores = min(cores, max(1, Int(quota.rounded(.up)))) }
    return cores
  }

  /// Bytes by the cgroup's limit and the machine's memory, whichever is less.
  public static var memoryByteCount: Int {
    let physical = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
    let limits = [
      "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ].compactMap { firstLine(of: $0).flatMap { Int($0) } }
    return limits.filter { $0 > 0 }.reduce(physical, min)
  }

  /// The machine's name, as the worker view shows it.
  public static var hostName: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
    return string(buffer)
  }

  public static var processID: Int { Int(getpid()) }

  /// Cores in the affinity mask, which the kernel tells as words of hexadecimal digits.
  private static func allowedCoreCount() -> Int? {
    guard let file = fopen("/proc/self/status", "re") else { return nil }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 4096)
    while fgets(&buffer, Int32(buffer.count), file) != nil {
      let line = string(buffer)
      guard line.hasPrefix("Cpus_allowed:") else { continue }
      let bits = line.dropFirst(13).compactMap(\.hexDigitValue).reduce(0) {
        $0 + $1.nonzeroBitCount
      }
      return bits > 0 ? bits : nil
    }
    return nil
  }

  /// Cores of the quota: cgroup v2 keeps both numbers in a file, v1 each in its own.
  private static func cpuQuota() -> Double? {
    if let line = firstLine(of: "/sys/fs/cgroup/cpu.max") {
      let fields = line.split(separator: " ").compactMap { Double($0) }
      return fields.count == 2 && fields[1] > 0 ? fields[0] / fields[1] : nil
    }
    guard
      let quota = firstLine(of: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap({ Double($0) }),
      let period = firstLine(of: "/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap({ Double($0) }),
      quota > 0, period > 0
    else { return nil }
    return quota / period
  }

  private static func firstLine(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 128)
    guard fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
    return string(buffer).split(whereSeparator: \.isNewline).first.map(String.init)
  }

  private static func string(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

internal import Glibc

/// What this process may use of the machine: the container's limits, not the host's size.
public enum Machine {
  /// Cores by the control groups' quota and the affinity mask (which a cpuset narrows), whichever is
  /// less; at least 1. Read anew each time, because both may change while the process runs.
  public static var coreCount: Int {
    var cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    if let allowed = allowedCoreCount() { cores = min(cores, allowed) }
    if let quota = ControlGroups().coreCount { cores = min(cores, max(1, Int(quota.rounded(.up)))) }
    return cores
  }

  /// Of the machine, allowed or not: more will never be.
  static var hostCoreCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_CONF)))) }

  /// Bytes by the control groups' limits and the machine's memory, whichever is less.
  public static var memoryByteCount: Int {
    let physical = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
    return min(physical, ControlGroups().memoryByteCount ?? physical)
  }

  /// Bytes of this process that are in memory; 0 where the kernel does not tell.
  package static var residentByteCount: Int {
    // All pages, then those in memory.
    let fields = File.firstLine(of: "/proc/self/statm")?.split(separator: " ") ?? []
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
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
    for line in File.lines(of: "/proc/self/status") where line.hasPrefix("Cpus_allowed:") {
      let bits = line.dropFirst(13).compactMap(\.hexDigitValue).reduce(0) {
        $0 + $1.nonzeroBitCount
      }
      return bits > 0 ? bits : nil
    }
    return nil
  }

  private static func string(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

import Foundation
import Scoring

/// What a worker on this machine would have to work with.
enum MachineChecks {
  static func all() -> [Check] {
    [cores(), vectors(), memory(), openFiles()]
  }

  private static func cores() -> Check {
    let host = ProcessInfo.processInfo.processorCount
    let usable = Machine.coreCount
    let limit = usable < host ? " of \(host) (limited by cgroup or affinity)" : ""
    return Check("cores", .good, "\(usable)\(limit)")
  }

  /// The instruction sets that the kernels choose from at run time.
  private static func vectors() -> Check {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    var model = "unknown"
    var flags: Set<Substring> = []
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      let key = parts[0].trimmingCharacters(in: .whitespaces)
      if key == "model name", model == "unknown" {
        model = parts[1].trimmingCharacters(in: .whitespaces)
      }
      if key == "flags" || key == "Features" { flags = Set(parts[1].split(separator: " ")) }
    }
    let wanted: [Substring] = ["avx2", "avx512f", "asimd"]
    let there = wanted.filter(flags.contains).map { $0 == "asimd" ? "NEON" : $0.uppercased() }
    return Check(
      "cpu", there.isEmpty ? .advice : .good,
      "\(model); \(there.isEmpty ? "baseline instructions" : there.joined(separator: ", "))",
      advice: "Bulk scoring is several times faster on a CPU with AVX2 or NEON.")
  }

  private static func memory() -> Check {
    let bytes = Machine.memoryByteCount
    return Check(
      "memory", bytes < 512 << 20 ? .advice : .good, Format.bytes(bytes),
      advice: "A worker keeps its models in memory; give it 512 MB or more.")
  }

  private static func openFiles() -> Check {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return Check("open files", .advice, "unknown", advice: "Check \"ulimit -n\".")
    }
    return Check(
      "open files", limit.rlim_cur < 1024 ? .advice : .good, "\(limit.rlim_cur)",
      advice: "Raise \"ulimit -n\" (LimitNOFILE= in a systemd unit) to 1024 or more.")
  }
}

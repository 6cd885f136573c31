import CDispatch  // Where C's structures are found, since NIO brings it.
import Foundation

/// How long this process has run, by the kernel's own record of its start.
enum ProcessClock {
  /// Exact to a clock tick of 10 ms; loading the program counts.
  static func secondsSinceStart() -> Double {
    guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
      // The second field, a name in brackets, may hold spaces.
      let end = text.lastIndex(of: ")")
    else { return 0 }
    let fields = text[text.index(after: end)...].split(separator: " ")
    // Field 22 is the start; the first of these is field 3.
    guard fields.count > 19, let ticks = Double(fields[19]) else { return 0 }
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    let seconds = Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    return seconds - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}

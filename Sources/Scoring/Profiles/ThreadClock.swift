internal import Glibc

/// Processor time of the calling thread.
enum ThreadClock {
  /// Seconds that the thread has run; differences count. A system call.
  static var seconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

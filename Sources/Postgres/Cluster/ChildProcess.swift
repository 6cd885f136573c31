internal import CLibPQ
internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// A process that this one started, and a thread that waits for its end.
///
/// The thread lives exactly as long as the process. That makes it a fit parent for the kernel's
/// parent-death signal, which is sent when the *thread* ends that started the process.
final class ChildProcess: Sendable {
  private enum State {
    case starting
    case refused(Int32)
    case running(pid_t)
    case ended(status: Int32)
  }

  private let state = Mutex(State.starting)
  private let started = WakeUp()
  private let ended = WakeUp()

  /// - Parameters:
  ///   - arguments: The program's path first.
  ///   - output: File that takes standard output and error, appended to.
  /// - Throws: 58000 when the program cannot be started.
  init(_ arguments: [String], output: String) throws(PostgresError) {
    let order = Order(arguments: arguments, output: output, process: self)
    var thread = pthread_t()
    let box = Unmanaged.passRetained(order)
    let code = pthread_create(
      &thread, nil,
      { argument in
        let order = Unmanaged<Order>.fromOpaque(argument!).takeRetainedValue()
        order.process.live(order)
        return nil
      }, box.toOpaque())
    guard code == 0 else {
      box.release()
      throw Self.refusal(arguments[0], code)
    }
    pthread_detach(thread)
    _ = started.wait()
    if case .refused(let code) = state.withLock({ $0 }) {
      throw Self.refusal(arguments[0], code)
    }
  }

  private final class Order: Sendable {
    let arguments: [String]
    let output: String
    let process: ChildProcess
    init(arguments: [String], output: String, process: ChildProcess) {
      (self.arguments, self.output, self.process) = (arguments, output, process)
    }
  }

  private static func refusal(_ program: String, _ code: Int32) -> PostgresError {
    PostgresError(
      sqlState: "58000", message: "\(program) could not be started",
      detail: String(cString: strerror(code)))
  }

  private func live(_ order: Order) {
    var pid: pid_t = 0
    let code = Self.spawn(order, &pid)
    state.withLock { $0 = code == 0 ? .running(pid) : .refused(code) }
    started.signal()
    guard code == 0 else { return ended.signal() }
    // Seen to have ended, but not yet reaped: until then nobody else can get the number.
    var info = siginfo_t()
    while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    state.withLock {
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      $0 = .ended(status: status)
    }
    ended.signal()
  }

  /// Starts the program with default signals, in a process group of its own (a terminal's
  /// Ctrl-C is for the parent, which then stops the child in order), in `/`, and without the
  /// environment's `PG…`.
  private static func spawn(_ order: Order, _ pid: inout pid_t) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(
      &actions, 1, order.output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    _ = rowcast_spawn_in_root(&actions)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    let environment = ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("PG") }.map { "\($0.key)=\($0.value)" }
    return withCStrings(order.arguments) { arguments in
      withCStrings(environment) { environment in
        posix_spawn(&pid, order.arguments[0], &actions, &attributes, arguments, environment)
      }
    }
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
  }

  var processID: pid_t? {
    if case .running(let pid) = state.withLock({ $0 }) { pid } else { nil }
  }

  var isRunning: Bool { processID != nil }

  /// Sends a signal, unless the process has ended.
  func send(_ signal: Int32) {
    state.withLock { state in
      if case .running(let pid) = state { _ = kill(pid, signal) }
    }
  }

  /// The exit status (128 + signal where one ended it); nil when the time was over first.
  func wait(timeout: Duration?) -> Int32? {
    guard ended.wait(timeout: timeout),
      case .ended(let status) = state.withLock({ $0 })
    else { return nil }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }

  /// Runs a program to its end and returns what it printed.
  static func output(of arguments: [String]) throws(PostgresError) -> String {
    var name = Array("/tmp/rowcast-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw refusal(arguments[0], errno) }
    close(descriptor)
    let path = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer { unlink(path) }
    let status = try ChildProcess(arguments, output: path).wait(timeout: .seconds(60))
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    guard status == 0 else {
      throw PostgresError(
        sqlState: "58000", message: "\(arguments[0]) ended with status \(status ?? -1)",
        detail: text.trimmed)
    }
    return text
  }
}

import Foundation
import Glibc
import Postgres

/// `rowcast worker` processes of this very program, which can be measured and killed.
///
/// They end with this process, however that ends. Used from one thread, because the kernel ties
/// their end to that of the thread that started them.
final class WorkerProcesses {
  /// How a worker is started.
  struct Order {
    var lanes: Int
    /// Further arguments of `rowcast worker`.
    var arguments: [String] = []
    /// What its sessions set, as libpq's `options`.
    var sessionOptions: String?
    /// Gets what the worker tells, appended; else only why it ends by itself is seen.
    var log: String?
  }

  private let database: ConnectionSettings
  private var processes: [Int: (process: Process, order: Order)] = [:]

  init(database: ConnectionSettings) { self.database = database }

  deinit { kill() }

  /// The worker of that number, by its process.
  func processID(_ number: Int) -> Int32? { processes[number]?.process.processIdentifier }

  var processIDs: [Int32] {
    processes.sorted { $0.key < $1.key }.map { $0.value.process.processIdentifier }
  }

  /// What `rowcast.workers` shows of a worker.
  func name(_ number: Int) -> String {
    "bench \(ProcessInfo.processInfo.processIdentifier) \(number)"
  }

  func start(_ number: Int, _ order: Order) throws {
    let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().path
    let arguments =
      [
        "worker", "--lanes", "\(order.lanes)", "--name", name(number), "--log-level",
        order.log == nil ? "critical" : "info",
      ] + order.arguments
    let process = Process()
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
    process.executableURL = URL(filePath: setpriv ?? program)
    process.arguments =
      (setpriv == nil ? [] : ["--pdeathsig", "KILL", "--", program]) + arguments
    process.environment = environment(order)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    if let log = order.log {
      let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else {
        throw CommandError(.failed, "cannot write \"\(log)\": \(CommandError.reason(errno))")
      }
      process.standardError = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }
    try process.run()
    processes[number] = (process, order)
  }

  private func environment(_ order: Order) -> [String: String] {
    var environment = Self.environment(database)
    if let options = order.sessionOptions {
      environment["PGOPTIONS"] = [environment["PGOPTIONS"], options].compactMap { $0 }
        .joined(separator: " ")
    }
    return environment
  }

  /// By which a program of libpq's connects as this one does: what the settings do not give comes
  /// from this process's own environment.
  static func environment(_ database: ConnectionSettings) -> [String: String] {
    var environment = ProcessInfo.processInfo.environment
    for (keyword, variable) in variables {
      if let value = database[keyword] { environment[variable] = value }
    }
    return environment
  }

  private static let variables = [
    ("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"), ("port", "PGPORT"), ("user", "PGUSER"),
    ("dbname", "PGDATABASE"), ("password", "PGPASSWORD"), ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"), ("service", "PGSERVICE"), ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"), ("sslkey", "PGSSLKEY"), ("sslrootcert", "PGSSLROOTCERT"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
  ]

  /// Returns once all lanes of all workers are there.
  func waitUntilReady(_ connection: Connection) throws {
    let names = processes.keys.map { name($0) }
    let wanted = processes.values.reduce(0) { $0 + $1.order.lanes }
    let clock = ContinuousClock()
    let limit = clock.now + .seconds(60)
    while try connection.run(
      """
      select count(*) from rowcast.lane as l join rowcast.worker as w on w.worker_id = l.worker_id
      where w.name = any (\(names))
      """
    ).value(0, 0, as: Int64.self) < Int64(wanted) {
      try check()
      guard clock.now < limit else {
        throw CommandError(.failed, "the workers were not ready within a minute")
      }
      usleep(10_000)
    }
  }

  /// - Throws: Where a worker has ended by itself.
  func check() throws {
    for (number, worker) in processes where !worker.process.isRunning {
      throw CommandError(
        .failed, "worker \(number) has ended with status \(worker.process.terminationStatus)",
        hint: "What it wrote to standard error says why.")
    }
  }

  /// Kills a worker and starts another in its place.
  func restart(_ number: Int) throws {
    guard let order = processes[number]?.order else { return }
    end(number, by: SIGKILL)
    try start(number, order)
  }

  /// Stops all in order.
  func stop() {
    let numbers = Array(processes.keys)
    for number in numbers { processes[number]?.process.terminate() }
    let clock = ContinuousClock()
    let limit = clock.now + .seconds(15)
    while processes.values.contains(where: { $0.process.isRunning }), clock.now < limit {
      usleep(5_000)
    }
    kill()
  }

  func kill() { for number in Array(processes.keys) { end(number, by: SIGKILL) } }

  private func end(_ number: Int, by signal: Int32) {
    guard let (process, _) = processes.removeValue(forKey: number) else { return }
    Glibc.kill(process.processIdentifier, signal)
    process.waitUntilExit()
  }
}

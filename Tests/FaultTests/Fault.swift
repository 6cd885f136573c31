import TestRandom
/// One thing that goes wrong.
enum Fault: Sendable, CustomStringConvertible {
  /// SIGKILL of a worker, which is started again.
  case kill(worker: Int)
  /// SIGSTOP of a worker and SIGCONT after that many seconds.
  case stall(worker: Int, seconds: Double)
  /// `pg_terminate_backend` of one of the workers' sessions.
  case terminate
  /// The server ends without a checkpoint, as if its machine had, and starts again.
  case restartServer

  /// 20 kills, 6 stalls, 12 terminated sessions and 2 restarts in a seeded order.
  static func schedule(seed: UInt64) -> [Fault] {
    var random = SplitMix64(seed: seed)
    var faults: [Fault] = []
    for _ in 0..<20 {
      faults.append(.kill(worker: Int.random(in: 0..<FaultTests.workers, using: &random)))
    }
    for _ in 0..<6 {
      faults.append(
        .stall(
          worker: Int.random(in: 0..<FaultTests.workers, using: &random),
          seconds: Double.random(in: 0.5...2.5, using: &random)))
    }
    faults.append(contentsOf: Array(repeating: .terminate, count: 12))
    faults.shuffle(using: &random)
    faults.insert(.restartServer, at: faults.count / 3)
    faults.insert(.restartServer, at: faults.count * 2 / 3)
    return faults
  }

  var description: String {
    switch self {
    case .kill: "SIGKILL of a worker"
    case .stall: "SIGSTOP and SIGCONT"
    case .terminate: "terminated session"
    case .restartServer: "immediate restart"
    }
  }
}

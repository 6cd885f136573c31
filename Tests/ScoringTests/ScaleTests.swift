import Foundation
import Scoring
import TestRandom
import Testing

/// What a worker makes of the sessions, the cores and the server that it has.
@Suite struct AllowanceTests {
  private func share(_ connections: Int, dispatching: Bool = false) -> Allowance {
    Allowance(connections: connections, lanes: 5, dispatches: true, isDispatching: dispatching)
  }

  @Test func aWorkerThatLacksNothingHasAll() {
    let wanted = Allowance.wanted(lanes: 5, dispatches: true, isDispatching: true)
    let all = share(wanted, dispatching: true)
    #expect(all.lanes == 5)
    #expect(all.dispatches)
    #expect(all.answers)
    #expect(all.spares == Allowance.spareTasks)
    #expect(1 + all.sessions + all.lanes == wanted)
  }

  @Test(arguments: [true, false])
  func nobodyEverHasMoreThanHeMay(dispatching: Bool) {
    for connections in 1...40 {
      let shares = share(connections, dispatching: dispatching)
      #expect(1 + shares.sessions + shares.lanes <= connections)
      #expect(shares.isUseful == (connections >= Allowance.leastUseful))
    }
  }

  /// What a worker cannot do without comes first, then the lane for live changes.
  @Test func theLeastIsEnoughToDispatchAndScore() {
    let least = share(Allowance.leastUseful, dispatching: true)
    #expect(least.dispatches)
    #expect(least.lanes == 1)
    #expect(least.spares == 1)
    #expect(!least.answers)
    #expect(share(Allowance.leastUseful + 1, dispatching: true).lanes == 2)
  }

  @Test func aWorkerThatWantsLessIsOfUse() {
    let small = Allowance(connections: 3, lanes: 1, dispatches: false, isDispatching: false)
    #expect(small.lanes == 1)
    #expect(small.answers)
  }

  @Test func withLessAWorkerStandsBy() {
    for connections in 0..<Allowance.leastUseful { #expect(share(connections).sessions == 0) }
  }
}

@Suite struct PressureTests {
  private func signs(_ change: (inout Pressure.Signs) -> Void) -> Pressure.Signs {
    var signs = Pressure.Signs()
    signs.usualSeconds = 0.1
    change(&signs)
    return signs
  }

  private let quiet = Pressure.Signs()

  @Test func eachSignShrinksAndSaysWhy() {
    let cases: [(Pressure.Signs, String)] = [
      (
        signs {
          $0.statementSeconds = 2.5
          $0.statementWait = "IPC/SyncRep"
        }, "a statement takes 2.5 s, usually 0.1 s, waiting for IPC/SyncRep"
      ),
      (
        signs {
          $0.replicaSeconds = 45
          $0.replica = "b"
        }, "replica \"b\" is 45 s behind, the limit is 30 s"
      ),
      (
        signs { $0.walShare = 1.5 },
        "1.5 of max_wal_size is written since the last checkpoint, the limit is 1.3"
      ),
      (
        signs { $0.transactionSeconds = 7300 },
        "a transaction is open for 7300 s, the limit is 7200 s"
      ),
    ]
    for (signs, reason) in cases {
      var pressure = Pressure()
      let isChanged = pressure.look(signs, .init())
      #expect(isChanged)
      #expect(pressure.share == 0.5)
      #expect(pressure.reason == reason)
      #expect(pressure.lanes(of: 4) == 2)
    }
  }

  @Test func whatLastsStopsJobsAndNothingElse() {
    var pressure = Pressure()
    let bad = signs { $0.replicaSeconds = 60 }
    for lanes in [2, 1, 1, 0, 0] {
      pressure.look(bad, .init())
      #expect(pressure.lanes(of: 4) == lanes)
    }
    #expect(pressure.sizeShare > 0)
  }

  /// What is begun must be done: an old transaction leaves jobs a lane.
  @Test func anOldTransactionLeavesALane() {
    var pressure = Pressure()
    for _ in 0..<10 { pressure.look(signs { $0.transactionSeconds = 9000 }, .init()) }
    #expect(pressure.lanes(of: 8) == 1)
  }

  @Test func jobsComeBackStepByStep() {
    var pressure = Pressure()
    let bad = signs { $0.walShare = 2 }
    for _ in 0..<6 { pressure.look(bad, .init()) }
    #expect(pressure.lanes(of: 8) == 0)
    var lanes: [Int] = []
    while pressure.reason != nil, lanes.count < 100 {
      pressure.look(quiet, .init())
      lanes.append(pressure.lanes(of: 8))
    }
    #expect(lanes == [0, 1, 2, 3, 4, 5, 6, 7, 8])
    #expect(pressure == Pressure())
    // A sign on the way halves again.
    pressure.look(bad, .init())
    for _ in 0..<3 { pressure.look(quiet, .init()) }
    pressure.look(bad, .init())
    #expect(pressure.lanes(of: 8) == 3)
  }

  @Test func whatIsLiftedOrNotSeenIsNoSign() {
    var pressure = Pressure()
    var limits = Pressure.Limits()
    limits.slowdown = nil
    limits.replicaSeconds = nil
    limits.walShare = nil
    limits.transactionSeconds = nil
    let bad = signs {
      $0.statementSeconds = 1e9
      $0.replicaSeconds = 1e9
      $0.walShare = 1e9
      $0.transactionSeconds = 1e9
    }
    pressure.look(bad, limits)
    #expect(pressure == Pressure())
    pressure.look(quiet, .init())
    #expect(pressure == Pressure())
    // Slow, but as usual; or quick enough, whatever is usual.
    pressure.look(
      signs {
        $0.statementSeconds = 20
        $0.usualSeconds = 5
      }, .init())
    #expect(pressure == Pressure())
    pressure.look(signs { $0.statementSeconds = 1.9 }, .init())
    #expect(pressure == Pressure())
  }

  @Test func noSequenceLeavesTheBounds() {
    var random = SplitMix64(seed: 20)
    var pressure = Pressure()
    for _ in 0..<5000 {
      let isBad = Int.random(in: 0..<3, using: &random) == 0
      pressure.look(isBad ? signs { $0.walShare = 3 } : quiet, .init())
      #expect((0...1).contains(pressure.share))
      #expect((0...4).contains(pressure.lanes(of: 4)))
      #expect(pressure.share == 1 || pressure.reason != nil)
    }
  }
}

@Suite struct ReplicaClockTests {
  @Test func lagIsTheAgeOfWhatIsNotReplayed() {
    var clock = ReplicaClock()
    func expectLag(_ wanted: Double, position: Int64, replayed: Int64, at seconds: Double) {
      let lag = clock.lag(position: position, replayed: replayed, at: seconds)
      #expect(lag == wanted, "at \(seconds)")
    }
    expectLag(0, position: 100, replayed: 100, at: 0)
    expectLag(0, position: 200, replayed: 200, at: 1)
    // Replay stands still while more is written, and while nothing is.
    expectLag(0, position: 300, replayed: 200, at: 2)
    expectLag(1, position: 400, replayed: 200, at: 3)
    expectLag(7, position: 400, replayed: 200, at: 9)
    expectLag(7, position: 400, replayed: 300, at: 10)
    expectLag(0, position: 400, replayed: 400, at: 11)
  }

  @Test func theOldestTransactionAgesUntilItEnds() {
    var oldest = OldestTransaction()
    func expectAge(_ wanted: Double, of number: Int64?, at seconds: Double) {
      let age = oldest.age(number, at: seconds)
      #expect(age == wanted, "at \(seconds)")
    }
    expectAge(0, of: nil, at: 0)
    expectAge(0, of: 7, at: 1)
    expectAge(60, of: 7, at: 61)
    expectAge(0, of: 9, at: 62)
    expectAge(0, of: nil, at: 99)
  }
}

/// Folders as the kernel shows them, of both versions, with and without a view of its own.
@Suite struct ControlGroupTests {
  private func read<T>(_ files: [String: String], _ body: (ControlGroups) throws -> T) throws -> T {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rowcast-groups-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    for (path, text) in files {
      let place = root.appendingPathComponent(path)
      try FileManager.default.createDirectory(
        at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: place, atomically: true, encoding: .utf8)
    }
    return try body(ControlGroups(root: root.path))
  }

  @Test func aContainerOfVersionTwo() throws {
    try read([
      "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n",
      "sys/fs/cgroup/memory.max": "1073741824\n",
    ]) { groups in
      #expect(groups.coreCount == 2.5)
      #expect(groups.memoryByteCount == 1 << 30)
    }
  }

  /// The narrowest of all groups above holds.
  @Test func aServiceInASlice() throws {
    try read([
      "proc/self/cgroup": "0::/shop.slice/rowcast.service\n",
      "sys/fs/cgroup/cpu.max": "max 100000\n",
      "sys/fs/cgroup/shop.slice/cpu.max": "150000 100000\n",
      "sys/fs/cgroup/shop.slice/memory.max": "max\n",
      "sys/fs/cgroup/shop.slice/rowcast.service/cpu.max": "300000 100000\n",
      "sys/fs/cgroup/shop.slice/rowcast.service/memory.max": "4096\n",
    ]) { groups in
      #expect(groups.coreCount == 1.5)
      #expect(groups.memoryByteCount == 4096)
    }
  }

  @Test func versionOneWithTheHostsPaths() throws {
    try read([
      "proc/self/cgroup":
        "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2048\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    ]) { groups in
      #expect(groups.coreCount == 0.5)
      #expect(groups.memoryByteCount == 2048)
    }
  }

  @Test func withoutLimitsThereAreNone() throws {
    try read([
      "proc/self/cgroup": "4:cpu:/\n0::/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n", "sys/fs/cgroup/memory.max": "max\n",
    ]) { groups in
      #expect(groups.coreCount == nil)
      #expect(groups.memoryByteCount == nil)
    }
    try read([:]) { #expect($0.coreCount == nil) }
  }
}

import Scoring
import TestRandom
import Testing

/// The dispatcher's decisions, without a clock or a server.
@Suite struct DispatcherStateTests {
  @Test func changesKeepItAwakeAtTheShortestInterval() {
    var state = DispatcherState()
    #expect(state.next(changes: 1, doorbell: .notHeld) == .tick(after: DispatcherState.shortest))
    #expect(state.next(changes: 5, doorbell: .notHeld) == .tick(after: DispatcherState.shortest))
  }

  @Test func manyChangesStretchTheIntervalUpToItsBound() {
    var state = DispatcherState()
    let per = DispatcherState.changesPerMillisecond
    #expect(state.next(changes: 4 * per, doorbell: .notHeld) == .tick(after: .milliseconds(4)))
    #expect(
      state.next(changes: 1000 * per, doorbell: .notHeld) == .tick(after: DispatcherState.longest))
  }

  @Test func itLingersBeforeItTriesTheDoorbell() {
    var state = DispatcherState()
    _ = state.next(changes: 1, doorbell: .notHeld)
    for _ in 1..<DispatcherState.lingering {
      #expect(state.next(changes: 0, doorbell: .notHeld) == .tick(after: DispatcherState.shortest))
    }
    #expect(
      state.next(changes: 0, doorbell: .notHeld) == .takeDoorbell(after: DispatcherState.shortest))
  }

  @Test func itSleepsOnlyAfterATickWhileHoldingFoundNothing() {
    var state = DispatcherState()
    #expect(state.next(changes: 0, doorbell: .held) == .sleepUntilRung)
    #expect(state.next(changes: 1, doorbell: .held) == .releaseDoorbell)
  }

  @Test func aRefusedDoorbellIsTriedAgainLaterAndLater() {
    var state = DispatcherState()
    var waits: [Duration] = []
    for _ in 0..<8 {
      guard case .takeDoorbell(let wait) = state.next(changes: 0, doorbell: .refused) else {
        Issue.record("a refused doorbell must be tried again")
        return
      }
      waits.append(wait)
    }
    #expect(waits == waits.sorted())
    #expect(waits[0] == .milliseconds(2))
    #expect(waits.last == DispatcherState.longestRefused)
  }

  @Test func aRingStartsOver() {
    var state = DispatcherState()
    for _ in 0..<8 { _ = state.next(changes: 0, doorbell: .refused) }
    _ = state.next(changes: 0, doorbell: .held)
    #expect(state.next(changes: 1, doorbell: .notHeld) == .tick(after: DispatcherState.shortest))
  }

  /// Whatever the facts, no sequence of decisions sleeps without holding the doorbell.
  @Test func noSequenceSleepsWithoutTheDoorbell() {
    var random = SplitMix64(seed: 7)
    var state = DispatcherState()
    for _ in 0..<10_000 {
      let doorbell: DispatcherState.Doorbell =
        [.notHeld, .held, .refused][Int.random(in: 0..<3, using: &random)]
      let changes = Bool.random(using: &random) ? 0 : Int.random(in: 1...500, using: &random)
      let action = state.next(changes: changes, doorbell: doorbell)
      if action == .sleepUntilRung { #expect(doorbell == .held && changes == 0) }
      if doorbell == .held { #expect([.sleepUntilRung, .releaseDoorbell].contains(action)) }
    }
  }
}

@Suite struct MaintenanceScheduleTests {
  typealias Step = MaintenanceSchedule.Step

  @Test func anIdleDatabaseIsOnlyBeatAndSeldomTidied() {
    var schedule = MaintenanceSchedule()
    let start = ContinuousClock.now
    #expect(schedule.due(at: start) == [.beat, .schedules, .audits, .lags, .sources, .tidy])
    #expect(schedule.due(at: start.advanced(by: .milliseconds(999))) == [])
    #expect(
      schedule.due(at: start.advanced(by: .seconds(1))) == [.beat, .schedules, .audits, .lags])
    #expect(
      schedule.due(at: start.advanced(by: .seconds(30))) == [
        .beat, .schedules, .audits, .lags, .sources, .tidy,
      ])
  }

  @Test func openWorkBringsRescueJobsAndTidying() {
    var schedule = MaintenanceSchedule()
    let start = ContinuousClock.now
    _ = schedule.due(at: start)
    schedule.load = .init(hasChunks: true, hasJobs: true, hasSuspended: true)
    #expect(
      Set(schedule.due(at: start.advanced(by: .milliseconds(1))))
        == [.jobs, .rescue, .endStalled, .suspended])
    #expect(schedule.pause(at: start.advanced(by: .milliseconds(1))) == .milliseconds(10))
    #expect(schedule.due(at: start.advanced(by: .milliseconds(11))) == [.jobs])
    #expect(
      Set(schedule.due(at: start.advanced(by: .milliseconds(201)))) == [.jobs, .rescue])
  }

  @Test func aHurriedStepIsDueAtOnce() {
    var schedule = MaintenanceSchedule()
    let start = ContinuousClock.now
    schedule.load.hasChunks = true
    _ = schedule.due(at: start)
    #expect(schedule.due(at: start) == [])
    schedule.hurry(.rescue)
    #expect(schedule.due(at: start) == [.rescue])
  }
}

@Suite struct LatencyHistogramTests {
  @Test func quantilesAreWithinFivePercent() {
    var histogram = LatencyHistogram()
    #expect(histogram.quantile(0.5) == nil)
    for microseconds in 1...10_000 { histogram.add(.microseconds(microseconds)) }
    for q in [0.01, 0.5, 0.9, 0.99, 1] {
      let wanted = q * 10_000
      let found = histogram.quantile(q)!.components
      let value = Double(found.seconds) * 1e6 + Double(found.attoseconds) / 1e12
      #expect(abs(value - wanted) <= 0.05 * wanted, "\(q): \(value)")
    }
  }

  @Test(arguments: [Duration.zero, .nanoseconds(1), .seconds(3600), .seconds(1 << 40)])
  func everyDurationHasABucket(duration: Duration) {
    var histogram = LatencyHistogram()
    histogram.add(duration)
    #expect(histogram.count == 1)
    #expect(histogram.quantile(0.5) != nil)
  }
}

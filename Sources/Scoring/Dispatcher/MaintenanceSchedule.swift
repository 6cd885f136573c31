/// When the dispatcher's housekeeping is due; reads no clock itself.
package struct MaintenanceSchedule: Sendable {
  package typealias Instant = ContinuousClock.Instant

  package enum Step: CaseIterable, Sendable, Equatable {
    /// Says that this worker lives and dispatches.
    case beat
    /// Looks whether schedules are due.
    case schedules
    /// Looks whether audits are due.
    case audits
    /// Looks whether contracts of lag are kept.
    case lags
    /// Follows partitions that were attached or detached, and notices other changes of sources.
    case sources
    /// Has chunks made for running jobs, ahead of the lanes.
    case jobs
    /// Gives back what dead lanes held, and counts open work.
    case rescue
    /// Ends sessions of workers that hold chunks and stand still.
    case endStalled
    /// Looks whether suspended scorers are mended.
    case suspended
    /// Empties the change log, completes jobs, adapts chunk sizes.
    case tidy

    package var interval: Duration {
      switch self {
      case .jobs: .milliseconds(10)
      case .rescue: .milliseconds(200)
      case .endStalled, .suspended, .sources: .seconds(2)
      case .beat, .schedules, .audits, .lags, .tidy: .seconds(1)
      }
    }
  }

  /// What the dispatcher knows about the database's open work.
  package struct Load: Sendable, Equatable {
    /// Chunks are available or running, somewhere.
    package var hasChunks = false
    package var hasJobs = false
    package var hasSuspended = false

    package init(hasChunks: Bool = false, hasJobs: Bool = false, hasSuspended: Bool = false) {
      self.hasChunks = hasChunks
      self.hasJobs = hasJobs
      self.hasSuspended = hasSuspended
    }
  }

  package var load = Load()
  /// Tidying goes on for a few rounds after the last work: the log empties only when all is done.
  private var tidyRoundsLeft = 0
  private var last: [Step: Instant] = [:]

  package init() {}

  package mutating func noteWork() {
    load.hasChunks = true
    tidyRoundsLeft = 3
  }

  /// The steps that are due now, each counted as done.
  package mutating func due(at now: Instant) -> [Step] {
    let steps = Step.allCases.filter { nextTime(of: $0, at: now).map { $0 <= now } ?? false }
    for step in steps {
      last[step] = now
      if step == .tidy { tidyRoundsLeft = max(0, tidyRoundsLeft - 1) }
    }
    return steps
  }

  /// How long nothing is due.
  package func pause(at now: Instant) -> Duration {
    let times = Step.allCases.compactMap { nextTime(of: $0, at: now) }
    return times.map { max(.zero, now.duration(to: $0)) }.min() ?? .seconds(60)
  }

  /// Makes the step due at once.
  package mutating func hurry(_ step: Step) { last[step] = nil }

  private func nextTime(of step: Step, at now: Instant) -> Instant? {
    let interval: Duration? =
      switch step {
      case .beat, .schedules, .audits, .lags, .sources: step.interval
      case .jobs: load.hasJobs ? step.interval : nil
      // Chunks of jobs are made without the dispatcher's knowing.
      case .rescue, .endStalled: load.hasChunks || load.hasJobs ? step.interval : nil
      case .suspended: load.hasSuspended ? step.interval : nil
      // An idle database is tidied seldom: what is left then is old ticks.
      case .tidy:
        tidyRoundsLeft > 0 || load.hasChunks || load.hasJobs ? step.interval : .seconds(30)
      }
    guard let interval else { return nil }
    return last[step].map { $0.advanced(by: interval) } ?? now
  }
}

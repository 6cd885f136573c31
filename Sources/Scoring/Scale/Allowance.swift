/// How a worker uses the sessions that it may have.
package struct Allowance: Sendable, Equatable {
  /// Threads that score and may connect; where there are two or more, one takes live changes alone.
  package var lanes = 0
  /// Whether it stands for election.
  package var dispatches = false
  /// Whether it answers questions.
  package var answers = false
  /// For what the dispatcher does beside ticks, when there is something to do: cutting jobs,
  /// inspecting models, auditing, firing schedules.
  package var spares = 0

  /// Those tasks, each with a session while it works.
  package static let spareTasks = 4
  /// A control session, the election, a lane, and one to spare: with less a worker stands by with its
  /// control session alone. The SQL function `pulse` knows it too.
  package static let leastUseful = 4

  /// What a worker would have that lacks nothing.
  package static func wanted(lanes: Int, dispatches: Bool, isDispatching: Bool) -> Int {
    1 + (dispatches ? 1 : 0) + 1 + lanes + (isDispatching ? spareTasks : 0)
  }

  /// Shares out `connections`, among which one is the control session's: first what a worker cannot do
  /// without, then the lane for live changes and answers, then other lanes.
  package init(connections: Int, lanes wanted: Int, dispatches: Bool, isDispatching: Bool) {
    let least = Self.wanted(lanes: wanted, dispatches: dispatches, isDispatching: isDispatching)
    guard connections >= min(Self.leastUseful, least) else { return }
    var rest = connections - 1
    func take(_ count: Int) -> Int {
      let taken = max(0, min(count, rest))
      rest -= taken
      return taken
    }
    self.dispatches = dispatches && take(1) == 1
    lanes = take(min(1, wanted))
    spares = isDispatching ? take(1) : 0
    lanes += take(min(1, wanted - lanes))
    answers = take(1) == 1
    spares += isDispatching ? take(1) : 0
    lanes += take(wanted - lanes)
    spares += isDispatching ? take(Self.spareTasks - spares) : 0
  }

  /// A worker that was told nothing yet.
  package static let none = Allowance(
    connections: 1, lanes: 0, dispatches: false, isDispatching: false)

  package var isUseful: Bool { lanes > 0 }

  /// Beside the control session's and lanes.
  package var sessions: Int { (dispatches ? 1 : 0) + (answers ? 1 : 0) + spares }
}

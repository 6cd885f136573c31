/// Visits every state that a model can reach, breadth first, so that what is wrong is shown by one of
/// the shortest ways to it.
///
/// Proves, for all interleavings within the model's bounds: no state violates an invariant; the graph
/// of states has no cycle, so every run ends; and every end is as it should be. Together that is
/// "eventually", for runs in which whoever can go on does so at last: no more fairness is assumed.
package struct Explorer {
  package struct Result {
    package var states = 0
    package var transitions = 0
    package var depth = 0
    /// How often each kind of step was taken.
    package var taken: [Step.Kind: Int] = [:]
    package var counterexample: Counterexample?
  }

  package struct Counterexample: CustomStringConvertible {
    package var violation: Violation
    package var steps: [Step]

    package var description: String {
      "\(violation.rawValue):\n  " + steps.map(\.description).joined(separator: "\n  ")
    }
  }

  /// Beyond this many states the search is given up; a model within its bounds never gets there.
  private static let limit = 40_000_000

  private let model: Model
  private var states: ContiguousArray<State> = []
  private var parents: ContiguousArray<Int32> = []
  private var depths: ContiguousArray<UInt16> = []
  /// Where each state's successors begin in `targets`.
  private var starts: ContiguousArray<Int> = []
  private var targets: ContiguousArray<Int32> = []
  /// Open addressing: the number of a state, or -1; and the upper half of its hash.
  private var table: ContiguousArray<(number: Int32, tag: UInt32)>
  private var taken = ContiguousArray(repeating: 0, count: 256)
  private var result = Result()

  package static func explore(_ model: Model) -> Result {
    var explorer = Explorer(model)
    explorer.run()
    return explorer.result
  }

  private init(_ model: Model) {
    self.model = model
    table = ContiguousArray(repeating: (-1, 0), count: 1 << 16)
  }

  private mutating func run() {
    _ = number(of: model.initial.canonical, parent: -1)
    var successors = Successors()
    var next = 0
    while next < states.count {
      let state = states[next]
      if let violation = model.violation(in: state) { return stop(violation, at: next) }
      successors.removeAll()
      model.appendSuccessors(of: state, to: &successors)
      starts.append(targets.count)
      for (step, successor) in successors.list where !State.areSame(successor, state) {
        targets.append(number(of: successor.canonical, parent: Int32(next)))
        taken[Int(step.kind.rawValue)] += 1
      }
      if targets.count == starts[next], let violation = model.shortcoming(atTheEnd: state) {
        return stop(violation, at: next)
      }
      precondition(states.count < Self.limit, "the model's bounds are too wide")
      next += 1
    }
    starts.append(targets.count)
    count()
    if let looping = stateOnACycle() { stop(.runsForEver, at: looping) }
  }

  private mutating func count() {
    result.states = states.count
    result.transitions = targets.count
    result.depth = Int(depths.last ?? 0)
    for kind in Step.Kind.allCases where taken[Int(kind.rawValue)] > 0 {
      result.taken[kind] = taken[Int(kind.rawValue)]
    }
  }

  private mutating func stop(_ violation: Violation, at number: Int) {
    count()
    var path: [Int] = []
    var place = number
    while parents[place] >= 0 {
      path.append(place)
      place = Int(parents[place])
    }
    result.counterexample = Counterexample(
      violation: violation, steps: steps(along: path.reversed()))
  }

  /// The steps on a way, with each process keeping its number.
  private func steps(along path: [Int]) -> [Step] {
    var state = model.initial
    var steps: [Step] = []
    var successors = Successors()
    for place in path {
      successors.removeAll()
      model.appendSuccessors(of: state, to: &successors)
      let next = successors.list.first { State.areSame($0.state.canonical, states[place]) }!
      steps.append(next.step)
      state = next.state
    }
    return steps
  }

  // MARK: States by number

  private mutating func number(of state: State, parent: Int32) -> Int32 {
    if states.count * 2 > table.count { grow() }
    let hash = state.hash
    let tag = UInt32(hash >> 32)
    var slot = Int(truncatingIfNeeded: hash) & (table.count - 1)
    while table[slot].number >= 0 {
      let entry = table[slot]
      if entry.tag == tag, State.areSame(states[Int(entry.number)], state) { return entry.number }
      slot = (slot + 1) & (table.count - 1)
    }
    let number = Int32(states.count)
    table[slot] = (number, tag)
    states.append(state)
    parents.append(parent)
    depths.append(parent < 0 ? 0 : depths[Int(parent)] + 1)
    return number
  }

  private mutating func grow() {
    table = ContiguousArray(repeating: (-1, 0), count: table.count * 4)
    for number in states.indices {
      let hash = states[number].hash
      var slot = Int(truncatingIfNeeded: hash) & (table.count - 1)
      while table[slot].number >= 0 { slot = (slot + 1) & (table.count - 1) }
      table[slot] = (Int32(number), UInt32(hash >> 32))
    }
  }

  // MARK: Cycles

  /// Takes away states that nothing leads to, again and again; what is left is on cycles, or behind.
  private func stateOnACycle() -> Int? {
    var incoming = ContiguousArray<Int32>(repeating: 0, count: states.count)
    for target in targets { incoming[Int(target)] += 1 }
    var free = states.indices.filter { incoming[$0] == 0 }
    var removed = 0
    while let state = free.popLast() {
      removed += 1
      for edge in starts[state]..<starts[state + 1] {
        let target = Int(targets[edge])
        incoming[target] -= 1
        if incoming[target] == 0 { free.append(target) }
      }
    }
    return removed == states.count ? nil : states.indices.first { incoming[$0] > 0 }
  }
}

/// What may happen next; its memory is used again from state to state.
package struct Successors {
  fileprivate(set) var list: ContiguousArray<(step: Step, state: State)> = []

  mutating func removeAll() { list.removeAll(keepingCapacity: true) }
  mutating func append(_ step: Step, _ state: State) { list.append((step, state)) }
}

/// Lets the connections of a loop ask by turns, so that a round of the loop takes no longer however many ask.
///
/// In each round so many requests are read as `most` says; connections that ask beyond that are read from
/// again in later rounds, the first that was turned away first. Whoever did not ask of late is read from at
/// once: a question of health waits for one round, and not for thousands of others.
package struct Turnstile<Waiter> {
  /// Requests of a round.
  package static var most: Int { 16 }

  private var asked = 0
  private var waiters: [Waiter] = []
  private var first = 0

  package init() {}

  /// Whether whoever asked shall wait for his next turn: behind those who wait already.
  package var isFull: Bool { asked >= Self.most || !isEmpty }
  package var isEmpty: Bool { first == waiters.count }

  package mutating func ask() { asked += 1 }

  package mutating func wait(_ waiter: Waiter) { waiters.append(waiter) }

  /// Those whose turn it is in the round that begins.
  package mutating func nextRound() -> ArraySlice<Waiter> {
    asked = 0
    let turn = waiters[first...].prefix(Self.most)
    first = turn.endIndex
    if isEmpty {
      waiters = []
      first = 0
    } else if first > 1024 {
      waiters.removeFirst(first)
      first = 0
    }
    return turn
  }
}

/// Decides what the dispatcher does after each tick; reads no clock and sends no query.
///
/// ```text
///           changes                     nothing, a few times
///    ┌──────────────────┐            ┌───────────────────────┐
///    ▼                  │            │                       ▼
///  tick(after:) ────► awake ─────────┘              takeDoorbell(after:)
///    ▲                                                 │ refused: wait longer, try again
///    │ unlock + tick                                   │ held, and its tick found nothing
///    └───── releaseDoorbell ◄── rung, or changes ── sleepUntilRung
/// ```
///
/// Awake, the dispatcher holds nothing and writers see a free doorbell, so nobody rings. It may
/// sleep only after a tick *while holding* the doorbell found nothing: each writer that skipped
/// the bell had then committed, and each later one rings.
package struct DispatcherState: Sendable, Equatable {
  package enum Doorbell: Sendable, Equatable {
    case notHeld
    case held
    /// A writer in flight has it shared.
    case refused
  }

  package enum Action: Sendable, Equatable {
    case tick(after: Duration)
    /// Try the doorbell and tick, in one round trip.
    case takeDoorbell(after: Duration)
    case sleepUntilRung
    /// Give the doorbell back and tick, in one round trip.
    case releaseDoorbell
  }

  package static let shortest = Duration.milliseconds(1)
  package static let longest = Duration.milliseconds(50)
  /// While a writer holds the bell for long, its neighbours' rows wait this long at most.
  package static let longestRefused = Duration.milliseconds(20)
  /// Ticks without changes before the doorbell is tried: a stream of writers need not ring.
  package static let lingering = 3
  /// Segments that justify a millisecond of waiting for more. At rate r a tick is worth r * interval
  /// segments, so below this rate a millisecond the interval settles at the shortest, and above it
  /// climbs to the longest: 1,000 single-row statements a second are each ticked within a
  /// millisecond or two, 20,000 share 20 ticks, which leaves the cores to the writers.
  package static let changesPerMillisecond = 4

  private var interval = shortest
  private var quietTicks = 0

  package init() {}

  /// What to do after a tick that brought `changes` segments.
  package mutating func next(changes: Int, doorbell: Doorbell) -> Action {
    switch (changes, doorbell) {
    case (1..., .held):
      awaken()
      return .releaseDoorbell
    case (1..., _):
      quietTicks = 0
      // More at once is cheaper a row.
      interval = min(Self.shortest * max(1, changes / Self.changesPerMillisecond), Self.longest)
      return .tick(after: interval)
    case (_, .held):
      awaken()
      return .sleepUntilRung
    case (_, .refused):
      interval = min(interval * 2, Self.longestRefused)
      return .takeDoorbell(after: interval)
    case (_, .notHeld):
      interval = Self.shortest
      quietTicks += 1
      return quietTicks < Self.lingering ? .tick(after: interval) : .takeDoorbell(after: interval)
    }
  }

  private mutating func awaken() {
    interval = Self.shortest
    quietTicks = 0
  }
}

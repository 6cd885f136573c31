import Scoring
import Server
import Testing

/// Whose turn it is, decided without connections.
@Suite struct TurnstileTests {
  /// As many as are let in pass; those beyond wait, and come in their order.
  @Test func thoseBeyondWaitTheirTurn() {
    var turnstile = Turnstile<Int>()
    let most = Turnstile<Int>.most
    for _ in 0..<most {
      #expect(!turnstile.isFull)
      turnstile.ask()
    }
    #expect(turnstile.isFull)
    for number in 0..<(2 * most + 5) { turnstile.wait(number) }
    #expect(Array(turnstile.nextRound()) == Array(0..<most))
    // Who comes meanwhile stands behind all others, however few ask in this round.
    #expect(turnstile.isFull && !turnstile.isEmpty)
    turnstile.wait(-1)
    #expect(Array(turnstile.nextRound()) == Array(most..<2 * most))
    #expect(Array(turnstile.nextRound()) == Array(2 * most..<2 * most + 5) + [-1])
    #expect(turnstile.isEmpty && turnstile.nextRound().isEmpty)
  }

  /// However long it goes on: as many as wait are kept, and each has as many turns as the others.
  @Test func nobodyIsForgotten() {
    var turnstile = Turnstile<Int>()
    var turns = [Int](repeating: 0, count: 1000)
    for number in 0..<1000 { turnstile.wait(number) }
    for _ in 0..<1000 {
      for number in turnstile.nextRound() {
        turns[number] += 1
        turnstile.wait(number)
      }
    }
    #expect(turns.allSatisfy { $0 == Turnstile<Int>.most }, "\(Set(turns))")
  }
}

@Suite struct ScoringPaceTests {
  @Test func whatIsSlowNowCountsAtOnceAndWhatIsQuickByAndBy() throws {
    let pace = ScoringPace()
    #expect(pace.expected(rows: 1) == nil)
    pace.note(8000, rows: 8)
    #expect(pace.expected(rows: 3) == .microseconds(3))
    pace.note(9000, rows: 1)
    #expect(pace.expected(rows: 1) == .microseconds(9))
    pace.note(1000, rows: 1)
    #expect(pace.expected(rows: 1) == .microseconds(8))
    for _ in 0..<100 { pace.note(1000, rows: 1) }
    #expect(try #require(pace.expected(rows: 1)) < .microseconds(1.01))
  }
}

internal import Postgres

/// What this worker did that the totals in the database do not have yet.
///
/// A worker begins at nothing, whatever the database has: that is the sum of what all workers ever added, those
/// before it and those beside it.
struct UnwrittenTotals {
  /// By scorer; chunks of jobs that belong to none under `Observations.noScorer`.
  private var scorers: [Int32: ScorerTotal] = [:]
  /// What the database has of this worker's events.
  private var told = EventTotals()
  /// What was sent, where it is not known whether the database has it: nothing else is sent before that is known.
  private(set) var doubt: (transaction: DoubtfulTransaction, part: Part)?

  mutating func add(_ counts: [Int32: Observations.ScorerCounts]) {
    for (scorer, own) in counts { scorers[scorer, default: ScorerTotal()].add(own.total) }
  }

  /// The scorers of which there is something to add.
  var waiting: [Int32] { scorers.keys.filter { $0 != Observations.noScorer }.sorted() }

  /// What is to be added now, of one round.
  struct Part {
    fileprivate(set) var scorers: [(key: Int32, value: ScorerTotal)]
    fileprivate(set) var events: [String: Double]
    /// Chunks of jobs.
    fileprivate var jobs: ScorerTotal?
    fileprivate var told: (before: EventTotals, now: EventTotals)
  }

  /// - Parameters:
  ///   - busy: Scorers that have to wait.
  ///   - totals: What this worker met since it started.
  func part(without busy: Set<Int32>, _ totals: EventTotals) -> Part {
    var events = totals.since(told)
    // These belong to no scorer that a total could be of.
    if let jobs = scorers[Observations.noScorer] {
      events["job_chunks"] = Double(jobs.chunks)
      events["job_rows_scored"] = Double(jobs.rowsScored)
      events["job_rows_failed"] = Double(jobs.rowsFailed)
    }
    return Part(
      scorers: scorers.filter { $0.key != Observations.noScorer && !busy.contains($0.key) }
        .sorted { $0.key < $1.key },
      events: events.filter { $0.value > 0 }, jobs: scorers[Observations.noScorer],
      told: (told, totals))
  }

  /// The database has it, or may have.
  mutating func remove(_ part: Part, doubt transaction: DoubtfulTransaction? = nil) {
    for (scorer, _) in part.scorers { scorers[scorer] = nil }
    scorers[Observations.noScorer] = nil
    told = part.told.now
    doubt = transaction.map { ($0, part) }
  }

  /// It is known what became of what was in doubt.
  mutating func settle(wasWritten: Bool) {
    guard let part = doubt?.part else { return }
    doubt = nil
    guard !wasWritten else { return }
    for (scorer, total) in part.scorers { scorers[scorer, default: ScorerTotal()].add(total) }
    if let jobs = part.jobs { scorers[Observations.noScorer, default: ScorerTotal()].add(jobs) }
    told = part.told.before
  }
}

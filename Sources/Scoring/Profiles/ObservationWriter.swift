internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Writes down what lanes counted: a statement a kind of count, whatever the number of scorers.
struct ObservationWriter {
  let connection: Connection

  /// Writes what is due, but of scorers that somebody else holds: those keep no other waiting, and their counts
  /// stay until later.
  ///
  /// - Parameter all: Whether all there is is due.
  /// - Returns: What was written.
  func write(
    _ observations: Observations, all: Bool
  ) throws(PostgresError) -> [Int32: Observations.ScorerCounts] {
    let due = observations.due(all: all)
    guard !due.isEmpty else { return [:] }
    return try connection.transaction { () throws(PostgresError) in
      let counts = observations.take(due.subtracting(try busy(due.sorted())))
      guard !counts.isEmpty else { return [:] }
      let scorers = counts.sorted { $0.key < $1.key }
      var queries = [self.observations(scorers), minutes(scorers), usage(scorers.map(\.value))]
      if counts.values.contains(where: { !$0.expectations.isEmpty }) {
        queries.append(expectations(scorers.map(\.value)))
      }
      _ = try connection.pipeline(queries)
      return counts
    }
  }

  /// Adds to the totals what they lack, once, but of scorers that somebody else holds.
  ///
  /// - Parameter events: What this worker met since it started.
  func write(_ unwritten: inout UnwrittenTotals, events: EventTotals) throws(PostgresError) {
    if let lost = unwritten.doubt?.transaction {
      let outcome = try connection.outcome(of: lost)
      guard outcome != .running else { return }
      unwritten.settle(wasWritten: outcome == .committed)
    }
    let waiting = unwritten.waiting
    let known = unwritten
    var part: UnwrittenTotals.Part?
    var doubt: DoubtfulTransaction?
    do throws(PostgresError) {
      try connection.transaction(doubt: &doubt) { () throws(PostgresError) in
        let sent = known.part(without: waiting.isEmpty ? [] : try busy(waiting), events)
        part = sent
        var queries: [Query] = []
        if !sent.scorers.isEmpty { queries.append(totals(sent.scorers)) }
        if !sent.events.isEmpty { queries.append(Self.query(of: sent.events)) }
        _ = try connection.pipeline(queries)
      }
      if let part { unwritten.remove(part) }
    } catch {
      if let part, let doubt { unwritten.remove(part, doubt: doubt) }
      throw error
    }
  }

  private func busy(_ scorers: [Int32]) throws(PostgresError) -> Set<Int32> {
    Set(
      try connection.run("select rowcast.busy_scorers(\(scorers))").value(0, 0, as: [Int32].self))
  }

  private func observations(_ scorers: [(key: Int32, value: Observations.ScorerCounts)]) -> Query {
    var ids: [Int32] = []
    var profiles: [Int32] = []
    var hours: [Date] = []
    var versions: [Int32] = []
    var kinds: [String] = []
    var places: [Int32] = []
    var valueCounts: [Int64] = []
    var missingCounts: [Int64] = []
    var means: [Double] = []
    var m2s: [Double] = []
    var minima: [Double?] = []
    var maxima: [Double?] = []
    var bins: [String] = []
    for (scorer, counts) in scorers {
      for (key, columns) in counts.columns {
        for (column, statistics) in columns where statistics.rowCount > 0 {
          ids.append(scorer)
          profiles.append(key.profile)
          hours.append(Date(timeIntervalSince1970: Double(key.hour)))
          versions.append(key.version)
          kinds.append(column.kind.rawValue)
          places.append(Int32(column.index + 1))
          valueCounts.append(Int64(statistics.valueCount))
          missingCounts.append(Int64(statistics.missingCount))
          means.append(statistics.mean)
          m2s.append(statistics.m2)
          minima.append(statistics.valueCount > 0 ? statistics.minimum : nil)
          maxima.append(statistics.valueCount > 0 ? statistics.maximum : nil)
          bins.append("{\(statistics.bins.map(String.init).joined(separator: ","))}")
        }
      }
    }
    return """
      select rowcast.record_observations(\(ids), \(profiles), \(hours), \(versions), \(kinds), \
      \(places), \(valueCounts), \(missingCounts), \(means), \(m2s), \(minima), \(maxima), \(bins))
      """
  }

  private func minutes(_ scorers: [(key: Int32, value: Observations.ScorerCounts)]) -> Query {
    let all = scorers.flatMap { scorer, counts in counts.minutes.map { (scorer, $0.key, $0.value) }
    }
    let (ids, counts) = (all.map(\.0), all.map(\.2))
    let moments = all.map { Date(timeIntervalSince1970: Double($0.1)) }
    return """
      select rowcast.record_minutes(\(ids), \(moments), \(counts.map(\.rowsScored)), \
      \(counts.map(\.rowsFailed)), \(counts.map(\.chunks)), \(counts.map(\.latencies)), \
      \(counts.map(\.latencySeconds)), \(counts.map(\.longestLatency)))
      """
  }

  private func totals(_ scorers: [(key: Int32, value: ScorerTotal)]) -> Query {
    let totals = scorers.map(\.value)
    return """
      select rowcast.record_totals(\(scorers.map(\.key)), \(totals.map(\.rowsScored)), \
      \(totals.map(\.rowsFailed)), \(totals.map(\.chunks)), \(totals.map(\.readSeconds)), \
      \(totals.map(\.predictSeconds)), \(totals.map(\.writeSeconds)), \
      \(totals.map(\.latencySeconds)), \
      \(totals.map { "{\($0.latencyCounts.map(String.init).joined(separator: ","))}" }))
      """
  }

  private static func query(of events: [String: Double]) -> Query {
    let named = events.sorted { $0.key < $1.key }
    return "select rowcast.record_events(\(named.map(\.key)), \(named.map(\.value)))"
  }

  private func usage(_ scorers: [Observations.ScorerCounts]) -> Query {
    let all = scorers.flatMap { counts in counts.usage.map { (counts.name, $0.key, $0.value) } }
    let (names, keys, values) = (all.map(\.0), all.map(\.1), all.map(\.2))
    let hours = keys.map { Date(timeIntervalSince1970: Double($0.hour)) }
    return """
      select rowcast.record_usage(\(hours), \(names), \(keys.map(\.model)), \
      \(keys.map(\.version)), \(keys.map(\.job)), \(values.map(\.rows)), \
      \(values.map(\.seconds)), \(values.map(\.predictSeconds)))
      """
  }

  private func expectations(_ scorers: [Observations.ScorerCounts]) -> Query {
    let all = scorers.flatMap { counts in counts.expectations.map { ($0.key, $0.value) } }
    let (keys, values) = (all.map(\.0), all.map(\.1))
    let hours = keys.map { Date(timeIntervalSince1970: Double($0.hour)) }
    return """
      select rowcast.record_expectations(\(keys.map(\.expectation)), \(hours), \
      \(values.map(\.checked)), \(values.map(\.failed)), \(values.map(\.observed)), \
      \(values.map(\.reason)))
      """
  }

  /// Makes a scorer's first rows its reference rows, unless it has some by now.
  func start(_ first: FirstRows, of scorer: Int32) throws(PostgresError) {
    try connection.transaction { () throws(PostgresError) in
      let begun = try connection.run(
        "select rowcast.begin_profile(\(scorer), 'first rows', true)")
      guard let profile = try begun.value(0, 0, as: Int32?.self) else { return }
      for (column, values) in first.columns.sorted(by: { $0.key < $1.key }) {
        let (kind, place) = (column.kind.rawValue, Int16(column.index + 1))
        switch values {
        case .numbers(let numbers):
          try connection.run(
            "select rowcast.add_profile_column(\(profile), \(kind), \(place), \(numbers), null)")
        case .texts(let texts):
          try connection.run(
            "select rowcast.add_profile_column(\(profile), \(kind), \(place), null, \(texts))")
        }
      }
      try connection.run("select rowcast.start_profile(\(profile))")
    }
  }
}

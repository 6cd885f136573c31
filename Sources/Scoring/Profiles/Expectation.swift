internal import Glibc
internal import Inference
internal import Postgres

/// What somebody expects of a scorer's rows, as a lane judges it.
struct Expectation: Sendable {
  enum Action: String, Sendable { case gate, warn, record }

  /// What a row, or many rows together, must be.
  enum Rule: Sendable {
    /// Each value is there.
    case present
    case range(Double?, Double?)
    case allowedNumbers([Double])
    case allowedTexts(Set<String>)
    /// The share of missing values is at most so much.
    case missingShare(Double)
    /// The mean is at most so many standard deviations of the baseline off.
    case mean(Double)
    /// The standard deviation differs from the baseline's by a factor of at most one more than this.
    case spread(Double)
    /// The population stability index is at most so much.
    case drift(Double)

    /// Whether single rows are judged.
    var isOfRows: Bool {
      switch self {
      case .present, .range, .allowedNumbers, .allowedTexts: true
      case .missingShare, .mean, .spread, .drift: false
      }
    }
  }

  var id: Int32
  var name: String
  var column: ProfiledColumn
  var columnName: String
  var action: Action
  var rule: Rule
  /// Rows that are judged together, at least.
  var minimumRows: Int
  /// Chunks up to this tick are not judged together: somebody accepted them.
  var acceptedTick: Int64

  static func load(_ scorer: Int32, on connection: Connection) throws(PostgresError)
    -> [Expectation]
  {
    let rows = try connection.run("select * from rowcast.load_expectations(\(scorer))")
    var expectations: [Expectation] = []
    for row in 0..<rows.count {
      guard let rule = try rule(rows, row),
        let kind = ProfiledColumn.Kind(
          rawValue: try rows.value(row, "column_kind", as: String.self)),
        let action = Action(rawValue: try rows.value(row, "action", as: String.self))
      else { continue }  // Of a newer release; its own workers judge it.
      expectations.append(
        Expectation(
          id: try rows.value(row, "expectation_id"), name: try rows.value(row, "name"),
          column: ProfiledColumn(
            kind: kind, index: Int(try rows.value(row, "place", as: Int16.self)) - 1),
          columnName: try rows.value(row, "column_name"), action: action, rule: rule,
          minimumRows: Int(try rows.value(row, "minimum_rows", as: Int32.self)),
          acceptedTick: try rows.value(row, "accepted_tick")))
    }
    return expectations
  }

  private static func rule(_ rows: Rows, _ row: Int) throws(PostgresError) -> Rule? {
    let tolerance = try rows.value(row, "tolerance", as: Double?.self) ?? 0.25
    let maximum = try rows.value(row, "maximum", as: Double?.self)
    switch try rows.value(row, "kind", as: String.self) {
    case "null": return (maximum ?? 0) > 0 ? .missingShare(maximum!) : .present
    case "range": return .range(try rows.value(row, "minimum", as: Double?.self), maximum)
    case "allowed":
      let allowed = try rows.value(row, "allowed", as: [String].self)
      return try rows.value(row, "is_text", as: Bool.self)
        ? .allowedTexts(Set(allowed)) : .allowedNumbers(allowed.compactMap { Double($0) })
    case "mean": return .mean(tolerance)
    case "spread": return .spread(tolerance)
    case "drift": return .drift(tolerance)
    default: return nil
    }
  }
}

// MARK: Single rows

extension Expectation {
  /// The rows of a column that fail, where single rows are judged.
  func failures(in column: Column) -> [Int] {
    func rows(where fails: (Int) -> Bool) -> [Int] { (0..<column.count).filter(fails) }
    switch rule {
    case .present: return rows { column.isMissing($0) }
    case .range(let low, let high):
      let (low, high) = (low ?? -.infinity, high ?? .infinity)
      return rows { row in
        guard !column.isNull(row) else { return false }
        let value = column.measure(row)
        return value < low || value > high
      }
    case .allowedNumbers(let allowed):
      return rows { !column.isMissing($0) && !allowed.contains(column.measure($0)) }
    case .allowedTexts(let allowed):
      guard case .string(let texts) = column.values else { return [] }
      return rows { !column.isNull($0) && !allowed.contains(texts[$0]) }
    case .missingShare, .mean, .spread, .drift: return []
    }
  }

  /// Names the column and the rule, never the value.
  var complaint: String {
    switch rule {
    case .present: "column \"\(columnName)\" is missing"
    case .range: "column \"\(columnName)\" is out of range"
    case .allowedNumbers, .allowedTexts: "column \"\(columnName)\" is not allowed"
    case .missingShare, .mean, .spread, .drift: "column \"\(columnName)\" is not as expected"
    }
  }
}

extension Column {
  /// NULL, NaN or infinite.
  fileprivate func isMissing(_ row: Int) -> Bool {
    if isNull(row) { return true }
    switch values {
    case .float32(let v): return !v[row].isFinite
    case .float64(let v): return !v[row].isFinite
    default: return false
    }
  }
}

// MARK: Many rows

extension Expectation {
  /// How many rows together are beside the baseline; nil where that cannot be said.
  func judge(_ seen: ColumnStatistics, _ baseline: ScorerProfile.Baseline?)
    -> (observed: Double, reason: String?)?
  {
    if case .missingShare(let most) = rule {
      let share = Double(seen.missingCount) / Double(max(1, seen.rowCount))
      return (
        share,
        share > most
          ? "\(share.rounded3) of the rows of column \"\(columnName)\" are missing, \(most) tolerated"
          : nil
      )
    }
    guard let baseline, baseline.valueCount > 0 else { return nil }
    switch rule {
    case .mean(let tolerance):
      guard seen.valueCount > 0 else { return nil }
      let off =
        seen.mean == baseline.mean ? 0 : (seen.mean - baseline.mean) / baseline.deviation
      return (
        off,
        abs(off) <= tolerance
          ? nil
          : "mean of column \"\(columnName)\" is \(off.rounded3) standard deviations off the "
            + "baseline, \(tolerance) tolerated"
      )
    case .spread(let tolerance):
      guard seen.valueCount > 0 else { return nil }
      let deviation = (seen.m2 / Double(seen.valueCount)).squareRoot()
      let ratio = deviation == baseline.deviation ? 1 : deviation / baseline.deviation
      return (
        ratio,
        ratio >= 1 / (1 + tolerance) && ratio <= 1 + tolerance
          ? nil
          : "spread of column \"\(columnName)\" is \(ratio.rounded3) times the baseline's, "
            + "a factor of \(1 + tolerance) tolerated"
      )
    case .drift(let tolerance):
      guard
        let index = StabilityIndex.between(
          baseline.bins + [baseline.missingCount], seen.bins + [Int64(seen.missingCount)])
      else { return nil }
      return (
        index,
        index <= tolerance
          ? nil
          : "stability index of column \"\(columnName)\" is \(index.rounded3), \(tolerance) tolerated"
      )
    case .present, .range, .allowedNumbers, .allowedTexts, .missingShare: return nil
    }
  }
}

extension Double {
  fileprivate var rounded3: String {
    guard isFinite, magnitude < 1e15 else { return "\(self)" }
    return "\((self * 1000).rounded() / 1000)"
  }
}

/// The population stability index of two histograms over the same bins, as `rowcast.psi` defines it.
enum StabilityIndex {
  /// Nil where one of them is empty, or where their bins differ.
  static func between(_ expected: [Int64], _ actual: [Int64]) -> Double? {
    let totals = (Double(expected.reduce(0, +)), Double(actual.reduce(0, +)))
    guard totals.0 > 0, totals.1 > 0, expected.count == actual.count else { return nil }
    return zip(expected, actual).reduce(0) { sum, pair in
      let e = max(Double(pair.0) / totals.0, 0.0001)
      let a = max(Double(pair.1) / totals.1, 0.0001)
      return sum + (a - e) * log(a / e)
    }
  }
}

internal import Inference

/// Judges the chunks of one scorer in one lane by what is expected of them.
///
/// Rules about many rows are judged when chunks make up enough rows; what comes before is written
/// unjudged.
struct ExpectationJudge {
  /// What became of an expectation: counts to be recorded.
  struct Outcome: Sendable {
    var expectation: Int32
    var name: String
    var action: Expectation.Action
    /// Rows, or times that many rows were judged together.
    var checked: Int64
    var failed: Int64
    var observed: Double?
    var reason: String?
  }

  /// Many rows together fail a gate: nothing is scored until somebody resolves it.
  struct Hold {
    var expectation: Int32
    var name: String
    var reason: String
    var observed: Double
  }

  let expectations: [Expectation]
  private var windows: [Int32: ColumnStatistics] = [:]

  init(_ expectations: [Expectation]) { self.expectations = expectations }

  /// Whether an expectation needs a feature that the model may not.
  func reads(_ feature: Int) -> Bool {
    expectations.contains { $0.column == ProfiledColumn(kind: .input, index: feature) }
  }

  /// Judges each row; those that fail a gate become failures.
  func judgeRows(_ rows: ChunkRows, _ result: inout ChunkResult) -> [Outcome] {
    var outcomes: [Outcome] = []
    var refused: [Int: ChunkResult.Failure] = [:]
    let known = Set(result.failures.map(\.row))
    for expectation in expectations where expectation.rule.isOfRows && rows.count > 0 {
      let index = expectation.column.index
      var failed: [Int] = []
      if expectation.column.kind == .input {
        guard rows.features.indices.contains(index), rows.reads[index] else { continue }
        failed = expectation.failures(in: rows.features[index])
      } else {
        guard result.outputs.indices.contains(index) else { continue }
        // The outputs of rows that failed say nothing.
        failed = expectation.failures(in: result.outputs[index]).filter { !known.contains($0) }
      }
      outcomes.append(
        Outcome(
          expectation: expectation.id, name: expectation.name, action: expectation.action,
          checked: Int64(rows.count), failed: Int64(failed.count),
          observed: Double(failed.count) / Double(rows.count),
          reason: failed.isEmpty
            ? nil : "\(failed.count) of \(rows.count) rows: \(expectation.complaint)"))
      guard expectation.action == .gate else { continue }
      for row in failed where refused[row] == nil {
        let (model, version) = result.attribution.model(of: row)
        refused[row] = ChunkResult.Failure(
          row: row, code: "expectation",
          reason: "expectation \"\(expectation.name)\": \(expectation.complaint)", model: model,
          version: version)
      }
    }
    if !refused.isEmpty {
      result.failures =
        (result.failures.filter { refused[$0.row] == nil } + refused.values)
        .sorted { $0.row < $1.row }
    }
    return outcomes
  }

  /// Adds a chunk to the rows that are judged together.
  mutating func judgeTogether(
    _ measured: [ProfiledColumn: ColumnStatistics], tick: Int64, profile: ScorerProfile
  ) -> (outcomes: [Outcome], hold: Hold?) {
    var outcomes: [Outcome] = []
    for expectation in expectations where !expectation.rule.isOfRows {
      guard tick > expectation.acceptedTick, let own = measured[expectation.column] else {
        continue
      }
      var window = own
      if let before = windows[expectation.id], before.bins.count == own.bins.count {
        window.merge(before)
      }
      guard expectation.counted(in: window) >= expectation.minimumRows else {
        windows[expectation.id] = window
        continue
      }
      windows[expectation.id] = nil
      guard let judged = expectation.judge(window, profile.baseline[expectation.column]) else {
        continue
      }
      if let reason = judged.reason, expectation.action == .gate {
        return (
          [],
          Hold(
            expectation: expectation.id, name: expectation.name, reason: reason,
            observed: judged.observed)
        )
      }
      outcomes.append(
        Outcome(
          expectation: expectation.id, name: expectation.name, action: expectation.action,
          checked: 1, failed: judged.reason == nil ? 0 : 1, observed: judged.observed,
          reason: judged.reason))
    }
    return (outcomes, nil)
  }
}

extension Expectation {
  /// What must come to `minimumRows`.
  fileprivate func counted(in window: ColumnStatistics) -> Int {
    switch rule {
    case .mean, .spread: window.valueCount
    default: window.rowCount
    }
  }
}

extension ChunkResult.Attribution {
  fileprivate func model(of row: Int) -> (String?, Int32?) {
    switch self {
    case .all(let name, let version): (name, version)
    case .each(let names, let versions): (names[row], versions[row])
    case .none: (nil, nil)
    }
  }
}

internal import Inference
internal import Postgres
internal import Scoring

/// A thread that scores requests.
package final class ScoringLane: Sendable {
  let wakeUp = WakeUp()
  private let queue: ScoringQueue

  package init(_ queue: ScoringQueue) { self.queue = queue }

  /// Scores until the queue is stopped and empty.
  package func run() {
    let workspace = Workspace()
    while true {
      wakeUp.clear()
      switch queue.work(for: self) {
      case .stop: return
      case .wait(let until):
        _ = wakeUp.wait(timeout: until.map { max(.zero, ContinuousClock.now.duration(to: $0)) })
      case .score(let entries): ScoringQueue.end(Self.score(entries, workspace))
      }
    }
  }

  private static func score(
    _ entries: [ScoringQueue.Entry], _ workspace: Workspace
  ) -> [ScoringQueue.Outcome] {
    guard entries.count > 1 else { return [score(entries[0], workspace)] }
    let batch = Batch(joining: entries.map(\.batch))
    guard let predictions = try? entries[0].model.predict(batch, workspace) else {
      // One of them may be at fault, and only that one shall hear of it.
      return entries.map { score($0, workspace) }
    }
    var row = 0
    return entries.map { entry in
      let rows = row..<row + entry.batch.rowCount
      row = rows.upperBound
      return ScoringQueue.Outcome(entry: entry, result: .success(predictions.rows(rows)))
    }
  }

  private static func score(
    _ entry: ScoringQueue.Entry, _ workspace: Workspace
  ) -> ScoringQueue.Outcome {
    do throws(ModelError) {
      return ScoringQueue.Outcome(
        entry: entry, result: .success(try entry.model.predict(entry.batch, workspace)))
    } catch {
      return ScoringQueue.Outcome(entry: entry, result: .failure(Problem(error)))
    }
  }
}

extension LoadedModel {
  /// Scores, and measures how long that takes.
  fileprivate func predict(
    _ batch: Batch, _ workspace: Workspace
  ) throws(ModelError) -> Predictions {
    try pace.measure(rows: batch.rowCount) { () throws(ModelError) in
      try model.predict(batch, workspace: workspace)
    }
  }
}

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
      case .score(let entries): Self.score(entries, workspace)
      }
    }
  }

  private static func score(_ entries: [ScoringQueue.Entry], _ workspace: Workspace) {
    guard entries.count > 1 else { return score(entries[0], workspace) }
    let batch = Batch(joining: entries.map(\.batch))
    guard let predictions = try? entries[0].model.model.predict(batch, workspace: workspace) else {
      // One of them may be at fault, and only that one shall hear of it.
      for entry in entries { score(entry, workspace) }
      return
    }
    var row = 0
    for entry in entries {
      let rows = row..<row + entry.batch.rowCount
      entry.end(.success(predictions.rows(rows)))
      row = rows.upperBound
    }
  }

  private static func score(_ entry: ScoringQueue.Entry, _ workspace: Workspace) {
    do throws(ModelError) {
      entry.end(.success(try entry.model.model.predict(entry.batch, workspace: workspace)))
    } catch {
      entry.end(.failure(Problem(error)))
    }
  }
}

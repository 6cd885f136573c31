import Foundation
import Inference
import Scoring
import Server
import Testing

/// What waits is scored together, within bounds; decided without a thread, a clock or a server.
@Suite struct ScoringQueueTests {
  private static func model() throws -> LoadedModel {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../InferenceTests/Fixtures/lightgbm_multiclass/model.txt").standardized
    return LoadedModel(
      id: ModelVersionID(model: 1, version: 1), name: "bank",
      model: try Model.load([UInt8](Data(contentsOf: path))))
  }

  private static func batch(_ rows: [Double]) -> Batch {
    Batch(
      rowCount: rows.count,
      columns: (0..<5).map { place in Column(.float64(rows.map { $0 + Double(place) })) })
  }

  private static let later = ContinuousClock.now + .seconds(3600)

  /// Waits until as many requests wait.
  private static func settle(_ queue: ScoringQueue, _ count: Int) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while queue.figures.waiting != count {
      try #require(ContinuousClock.now < end)
      await Task.yield()
    }
  }

  @Test func whatWaitsIsScoredTogetherAndAsAlone() async throws {
    let queue = ScoringQueue(ScoringQueue.Limits())
    let model = try Self.model()
    let batches = (0..<8).map { n in Self.batch((0...(n % 3)).map { Double(n) - Double($0) }) }
    let answers = try await withThrowingTaskGroup(of: (Int, Predictions).self) { group in
      for (index, batch) in batches.enumerated() {
        group.addTask { (index, try await queue.predict(model, batch, by: Self.later, for: nil)) }
      }
      try await Self.settle(queue, 8)
      let lane = ScoringLane(queue)
      queue.stop()
      lane.run()
      return try await group.reduce(into: [Int: Predictions]()) { $0[$1.0] = $1.1 }
    }
    #expect(queue.figures.batches == 1)
    #expect(queue.figures.scoredRows == batches.reduce(0) { $0 + $1.rowCount })
    for (index, batch) in batches.enumerated() {
      let alone = try model.model.predict(batch, workspace: Workspace())
      #expect(answers[index]?.columns == alone.columns)
    }
  }

  @Test func aBatchHasRowsWithinItsBound() async throws {
    var limits = ScoringQueue.Limits()
    limits.batchRows = 4
    let queue = ScoringQueue(limits)
    let model = try Self.model()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for rows in [3, 2, 9] {
        let batch = Self.batch(Array(repeating: 1, count: rows))
        group.addTask { _ = try await queue.predict(model, batch, by: Self.later, for: nil) }
        try await Self.settle(queue, rows == 3 ? 1 : rows == 2 ? 2 : 3)
      }
      let lane = ScoringLane(queue)
      queue.stop()
      lane.run()
      try await group.waitForAll()
    }
    #expect(queue.figures.batches == 3)
  }

  @Test func tooManyAreRefusedAtOnce() async throws {
    var limits = ScoringQueue.Limits()
    limits.requests = 2
    let queue = ScoringQueue(limits)
    let model = try Self.model()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<2 {
        group.addTask {
          _ = try await queue.predict(model, Self.batch([1]), by: Self.later, for: nil)
        }
      }
      try await Self.settle(queue, 2)
      await #expect(throws: (any Error).self) {
        try await queue.predict(model, Self.batch([1]), by: Self.later, for: nil)
      }
      #expect(queue.figures.refused == 1)
      queue.stop()
      ScoringLane(queue).run()
      try await group.waitForAll()
    }
  }

  @Test func nobodyIsScoredWhoDoesNotWait() async throws {
    let queue = ScoringQueue(ScoringQueue.Limits())
    let model = try Self.model()
    let client = ClientPresence()
    await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        (try? await queue.predict(model, Self.batch([1]), by: Self.later, for: client)) == nil
      }
      group.addTask {
        (try? await queue.predict(model, Self.batch([1]), by: .now, for: nil)) == nil
      }
      let cancelled = Task {
        (try? await queue.predict(model, Self.batch([1]), by: Self.later, for: nil)) == nil
      }
      try? await Self.settle(queue, 3)
      client.leave()
      cancelled.cancel()
      queue.stop()
      ScoringLane(queue).run()
      #expect(await cancelled.value)
      for await isRefused in group { #expect(isRefused) }
    }
    #expect(queue.figures.scoredRows == 0 && queue.figures.abandoned == 2)
  }

  @Test func aRequestMayWaitForOthers() async throws {
    var limits = ScoringQueue.Limits()
    limits.longestWait = .seconds(3600)
    limits.batchRows = 2
    let queue = ScoringQueue(limits)
    let model = try Self.model()
    let lane = ScoringLane(queue)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        _ = try await queue.predict(
          model, Self.batch([1]), by: Self.later + .seconds(3600), for: nil)
      }
      try await Self.settle(queue, 1)
      guard case .wait(.some) = queue.work(for: lane) else {
        Issue.record("one row of two does not wait")
        return
      }
      group.addTask {
        _ = try await queue.predict(
          model, Self.batch([2]), by: Self.later + .seconds(3600), for: nil)
      }
      try await Self.settle(queue, 2)
      queue.stop()
      lane.run()
      try await group.waitForAll()
    }
    #expect(queue.figures.batches == 1)
  }
}

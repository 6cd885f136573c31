import Foundation
import Glibc
import Inference
import Postgres
import Synchronization
import Testing

/// Workers are killed, stopped, cut off and restarted with their server, while applications write.
@Suite(.serialized) struct FaultTests {
  static let changes = 200_000
  static let workers = 3

  @Test func predictionsEqualTheOracleAfterFaults() throws {
    let scene = try FaultScene()
    defer { scene.tearDown() }
    try scene.prepare()
    try scene.startWorkers(Self.workers)

    let writers = Writers(scene.settings, changes: Self.changes, over: .seconds(45))
    let progress = writers.progress
    let monitor = RecoveryMonitor(scene.settings)
    monitor.start()

    // Each fault comes at its share of the work, so that a slow machine meets the same ones.
    let faults = Fault.schedule(seed: 7)
    for (index, fault) in faults.enumerated() {
      let due = Self.changes * (index + 1) / (faults.count + 2)
      while progress.changes.load(ordering: .relaxed) < due { usleep(5_000) }
      let began = Date()
      try scene.inflict(fault)
      monitor.note(fault, began: began)
    }
    writers.wait()
    let written = Date()
    try scene.waitUntilScored(within: 120)
    let settled = Date().timeIntervalSince(written)
    monitor.stop()
    let statuses = scene.stopWorkers()

    let report = try scene.compareWithOracle()
    let defects = scene.safetyPollHits()
    print(
      """
      faults: \(progress.changes.load(ordering: .relaxed)) changes by \(Writer.count) writers \
      (\(progress.refused.load(ordering: .relaxed)) statements refused, \
      \(progress.reconnects.load(ordering: .relaxed)) reconnects)
      faults: \(report.rows) rows: \(report.predictions) predictions, \(report.failures) failures; \
      \(report.missing) missing, \(report.stale) stale, \(report.orphaned) orphaned, \
      \(report.duplicate) duplicate; \(report.held) chunks held; safety-poll hits \(defects)
      faults: scored \(String(format: "%.2f", settled)) s after the last write
      \(monitor.table)
      """)
    #expect(report.rows > 10_000)
    #expect(report.missing == 0)
    #expect(report.stale == 0)
    #expect(report.orphaned == 0)
    #expect(report.duplicate == 0)
    #expect(report.held == 0)
    #expect(report.failedChunks == 0)
    #expect(defects == 0)
    #expect(statuses.allSatisfy { $0 == 0 }, "a worker did not stop cleanly: \(statuses)")
  }
}

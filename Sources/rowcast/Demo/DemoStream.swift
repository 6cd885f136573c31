import Foundation
import Postgres
import Synchronization

/// Writers that insert readings at a rate, each row with a commit of its own, with a burst now and
/// then, and a probe that measures how long a prediction takes.
final class DemoStream: Sendable {
  /// What happened so far.
  struct Counts: Sendable {
    var inserted: Int64 = 0
    /// Milliseconds from a probe row's commit until another connection saw its prediction.
    var latencies = Sample()
    /// Those since they were last taken.
    var recentLatencies = Sample()
    var firstPrediction: ContinuousClock.Instant?
    var failure: (any Error)?
  }

  private let settings: ConnectionSettings
  private let manifest: DemoManifest
  private let rate: Double
  private let simulator: Mutex<SensorSimulator>
  private let counts = Mutex(Counts())
  private let isOver = Atomic(false)
  private let stopping = WakeUp()
  private let threads = Mutex<[DispatchSemaphore]>([])

  /// A commit waits for the disk, so a rate takes several connections.
  private static let writerCount = 8
  private static let probesPerSecond = 20.0
  private static let burstRows = 500
  private static let burstPause = Duration.seconds(5)

  init(_ settings: ConnectionSettings, _ manifest: DemoManifest, rate: Double) {
    self.settings = settings.setting("application_name", to: "rowcast demo")
    self.manifest = manifest
    self.rate = rate
    simulator = Mutex(SensorSimulator(manifest, seed: UInt64.random(in: 0...UInt64.max)))
  }

  /// Starts with one probe row, and returns when its prediction is seen; then the rest begins.
  func start() throws {
    try probeOnce(on: try Probe(settings))
    begin { try self.probe() }
    for writer in 0..<Self.writerCount { begin { try self.write(writer) } }
    begin { try self.burst() }
  }

  /// Ends all threads; what they sent is committed.
  func stop() throws {
    isOver.store(true, ordering: .releasing)
    stopping.signal()
    for thread in threads.withLock({ $0 }) { thread.wait() }
    if let failure = snapshot().failure { throw failure }
  }

  func snapshot() -> Counts { counts.withLock { $0 } }

  var inserted: Int64 { counts.withLock { $0.inserted } }

  var hasFailed: Bool { counts.withLock { $0.failure != nil } }

  /// The latencies since last asked.
  func takeRecentLatencies() -> Sample {
    counts.withLock { counts in
      defer { counts.recentLatencies = Sample() }
      return counts.recentLatencies
    }
  }

  private func begin(_ body: @escaping @Sendable () throws -> Void) {
    let done = DispatchSemaphore(value: 0)
    threads.withLock { $0.append(done) }
    let thread = Thread {
      do { try body() } catch {
        self.counts.withLock { if $0.failure == nil { $0.failure = error } }
      }
      done.signal()
    }
    thread.start()
  }

  private var isRunning: Bool { !isOver.load(ordering: .acquiring) }

  /// Waits, unless the stream ends meanwhile.
  private func pause(until moment: ContinuousClock.Instant) {
    let left = ContinuousClock.now.duration(to: moment)
    if left > .zero { _ = stopping.wait(timeout: left) }
  }

  private func nextReading() -> (device: Int32, sensor: Int32, value: Double) {
    let reading = simulator.withLock { $0.read() }
    let entry = manifest.models[reading.sensor]
    return (entry.device, entry.sensor, reading.value)
  }

  private func count(_ rows: Int) { counts.withLock { $0.inserted += Int64(rows) } }

  // MARK: Writing

  /// Single rows at this writer's share of the rate, evenly spaced.
  private func write(_ writer: Int) throws {
    let connection = try Connection(settings)
    let share = max(rate - Self.probesPerSecond, 1) / Double(Self.writerCount)
    let step = Duration.seconds(1 / share)
    var due = ContinuousClock.now + step * (Double(writer) / Double(Self.writerCount))
    while isRunning {
      pause(until: due)
      guard isRunning else { return }
      let (device, sensor, value) = nextReading()
      try connection.run(
        """
        insert into public.sensor_reading (device, sensor, value)
        values (\(device), \(sensor), \(value))
        """)
      count(1)
      // After a stall, go on at the rate rather than all at once.
      due = max(due + step, .now - .seconds(1))
    }
  }

  /// Many rows in one statement, as a gateway sends them that was cut off for a while.
  private func burst() throws {
    let connection = try Connection(settings)
    var due = ContinuousClock.now + Self.burstPause
    while isRunning {
      pause(until: due)
      guard isRunning else { return }
      let readings = (0..<Self.burstRows).map { _ in nextReading() }
      try connection.run(
        """
        insert into public.sensor_reading (device, sensor, value)
        select * from unnest(\(readings.map(\.device)), \(readings.map(\.sensor)),
                             \(readings.map(\.value)))
        """)
      count(readings.count)
      due += Self.burstPause
    }
  }

  // MARK: Probing

  /// A connection that inserts and one that looks.
  private struct Probe {
    let writer: Connection
    let observer: Connection

    init(_ settings: ConnectionSettings) throws {
      writer = try Connection(settings)
      observer = try Connection(settings)
    }
  }

  private func probe() throws {
    let probe = try Probe(settings)
    let step = Duration.seconds(1 / Self.probesPerSecond)
    var due = ContinuousClock.now
    while isRunning {
      pause(until: due)
      guard isRunning else { return }
      try probeOnce(on: probe)
      due = max(due + step, .now - .seconds(1))
    }
  }

  /// Inserts a row and looks for its prediction over and over: late by a round trip at most.
  private func probeOnce(on probe: Probe) throws {
    let (device, sensor, value) = nextReading()
    let id = try probe.writer.run(
      """
      insert into public.sensor_reading (device, sensor, value)
      values (\(device), \(sensor), \(value)) returning reading_id
      """
    ).value(0, 0, as: Int64.self)
    let committed = ContinuousClock.now
    count(1)
    while try probe.observer.run(
      "select from predictions.sensor_anomaly where reading_id = \(id)"
    ).isEmpty {
      guard ContinuousClock.now - committed < .seconds(30) else {
        throw try missing(id, probe.observer)
      }
    }
    let seen = ContinuousClock.now
    let milliseconds = Format.seconds(seen - committed) * 1000
    counts.withLock { counts in
      if counts.firstPrediction == nil {
        // It waited for its model to be loaded, which later ones do not.
        counts.firstPrediction = seen
        return
      }
      counts.latencies.add(milliseconds)
      counts.recentLatencies.add(milliseconds)
    }
  }

  /// Says why a row has no prediction, where the database knows.
  private func missing(_ id: Int64, _ observer: Connection) throws -> CommandError {
    let reason = try observer.run(
      """
      select coalesce(
        (select reason from predictions.sensor_anomaly_failure where reading_id = \(id)),
        (select coalesce(state_reason, last_error) from rowcast.scorer_status
         where name = 'sensor_anomaly'))
      """
    ).value(0, 0, as: String?.self)
    return CommandError(.failed, "reading \(id) has no prediction after 30 s", detail: reason)
  }
}

import Foundation

/// Sensors that are sometimes ill, after the rules of the manifest.
///
/// A healthy reading is normal around the mean of the present mode; a sensor stays in its mode
/// with probability `dwell`. A spike moves one reading, a drift grows for many, and a stuck sensor
/// reports the same value, all measured in sigmas of the mode.
struct SensorSimulator {
  struct Reading: Sendable {
    /// Index in the manifest.
    var sensor: Int
    var value: Double
  }

  private struct Ailment {
    var kind: String
    var fault: DemoManifest.Fault
    var length: Int
    var left: Int
    var direction: Double
  }

  private struct State {
    var mode: DemoManifest.Mode
    var ailment: Ailment?
  }

  private let sensors: [DemoManifest.Sensor]
  private var states: [State]
  private var random: SeededRandom
  private var next = 0

  init(_ manifest: DemoManifest, seed: UInt64) {
    var random = SeededRandom(seed: seed)
    sensors = manifest.models.map(\.simulator)
    states = sensors.map { State(mode: Self.draw($0.modes, &random)) }
    self.random = random
  }

  /// The next reading; sensors take turns.
  mutating func read() -> Reading {
    let index = next
    next = (next + 1) % sensors.count
    var state = states[index]
    let value = read(sensors[index], &state)
    states[index] = state
    let scale = pow(10, Double(sensors[index].decimals))
    return Reading(sensor: index, value: (value * scale).rounded() / scale)
  }

  private mutating func read(_ sensor: DemoManifest.Sensor, _ state: inout State) -> Double {
    if Double.random(in: 0..<1, using: &random) > sensor.dwell {
      state.mode = Self.draw(sensor.modes, &random)
    }
    let healthy = state.mode.mean + state.mode.sigma * random.normal()
    if state.ailment == nil { state.ailment = fallIll(sensor) }
    guard var ailment = state.ailment else { return healthy }
    ailment.left -= 1
    state.ailment = ailment.left > 0 ? ailment : nil
    let fault = ailment.fault
    switch ailment.kind {
    case "drift":
      let part = Double(ailment.length - ailment.left) / Double(ailment.length)
      return healthy + ailment.direction * (fault.to ?? 0) * part * state.mode.sigma
    case "stuck":
      return (fault.value ?? state.mode.mean) + (fault.sigma ?? 0) * random.normal()
    default:
      let lower = fault.from ?? 0
      let distance = Double.random(in: lower...max(lower, fault.to ?? lower), using: &random)
      return healthy + ailment.direction * distance * state.mode.sigma
    }
  }

  private mutating func fallIll(_ sensor: DemoManifest.Sensor) -> Ailment? {
    for (kind, fault) in sensor.faults.sorted(by: { $0.key < $1.key })
    where Double.random(in: 0..<1, using: &random) < fault.probability {
      let length = max(1, fault.length ?? 1)
      return Ailment(
        kind: kind, fault: fault, length: length, left: length,
        direction: Bool.random(using: &random) ? 1 : -1)
    }
    return nil
  }

  private static func draw(
    _ modes: [DemoManifest.Mode], _ random: inout SeededRandom
  ) -> DemoManifest.Mode {
    var point = Double.random(in: 0..<modes.reduce(0) { $0 + $1.weight }, using: &random)
    for mode in modes {
      point -= mode.weight
      if point < 0 { return mode }
    }
    return modes[modes.count - 1]
  }
}

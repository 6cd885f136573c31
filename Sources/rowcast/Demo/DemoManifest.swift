import Foundation

/// `manifest.json` of the demo's models: which there are, and how their sensors behave.
struct DemoManifest: Decodable {
  struct Mode: Decodable {
    var weight: Double
    var mean: Double
    var sigma: Double
  }

  /// A way to misbehave, started by each healthy reading with `probability`.
  struct Fault: Decodable {
    var probability: Double
    /// Readings that it lasts; one where absent.
    var length: Int?
    /// Distance in sigmas: a spike's range, a drift's end.
    var from: Double?
    var to: Double?
    /// What a stuck sensor reports, and how noisily.
    var value: Double?
    var sigma: Double?
  }

  struct Sensor: Decodable {
    var decimals: Int
    /// Probability of staying in the present mode.
    var dwell: Double
    var modes: [Mode]
    var faults: [String: Fault]
  }

  struct Entry: Decodable {
    var name: String
    /// Relative to the manifest.
    var file: String
    var device: Int32
    var deviceName: String
    var sensor: Int32
    var sensorName: String
    var unit: String
    var simulator: Sensor
  }

  var models: [Entry]

  static func read(folder: String) throws -> DemoManifest {
    let path = folder + "/manifest.json"
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      let manifest = try decoder.decode(
        DemoManifest.self, from: Data(try ModelFile.bytes(path: path)))
      guard !manifest.models.isEmpty, manifest.models.allSatisfy({ !$0.simulator.modes.isEmpty })
      else { throw CommandError(.badData, "\"\(path)\" lists no models, or one without a mode") }
      return manifest
    } catch let error as DecodingError {
      throw CommandError(.badData, "\"\(path)\" does not describe models", detail: "\(error)")
    }
  }
}

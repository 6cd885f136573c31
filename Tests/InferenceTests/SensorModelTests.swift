import Foundation
import Inference
import ModelFixtures
import Testing

/// The reference job's models: a scaler and a one-class machine for each sensor.
@Suite struct SensorModelTests {
  private struct Parameters: Decodable {
    struct Scaler: Decodable {
      var mean: Double
      var scale: Double
    }
    struct Machine: Decodable {
      var gamma: Double
      var support_vectors: [Double]
      var dual_coef: [Double]
      var intercept: Double
    }
    var scaler: Scaler
    var ocsvm: Machine

    var model: SensorModel {
      SensorModel(
        mean: [scaler.mean], scale: [scaler.scale], supportVectors: ocsvm.support_vectors,
        dualCoefficients: ocsvm.dual_coef, intercept: ocsvm.intercept, gamma: ocsvm.gamma)
    }
  }

  static let data = URL(fileURLWithPath: #filePath)
    .appendingPathComponent("../../../../shared/data/iot_anomaly").standardized

  static let hasData = FileManager.default.fileExists(
    atPath: data.appendingPathComponent("sensor_data.csv").path)

  @Test("the signature names value, label and decision")
  func signature() throws {
    let model = try Model.load(
      SensorModel(
        mean: [10], scale: [2], supportVectors: [0.5, -1], dualCoefficients: [0.1, 0.2],
        intercept: -0.1, gamma: 0.01
      ).onnx())
    #expect(
      model.signature
        == Signature(
          features: [.init(name: "value", type: .float32, missing: .refused)],
          outputs: [
            .init(name: "label", type: .int64, role: .label),
            .init(name: "decision", type: .float32, role: .decision),
          ]))
  }

  @Test("labels and decisions follow the formula")
  func formula() throws {
    let sensor = SensorModel(
      mean: [10, -3], scale: [2, 0.5], supportVectors: [0.5, -1, 2, 0.25],
      dualCoefficients: [0.75, 0.5], intercept: -0.4, gamma: 0.3)
    let model = try Model.load(sensor.onnx(featureNames: ["volt", "ampere"]))
    #expect(model.signature.features.map(\.name) == ["volt", "ampere"])
    let volts = (0..<2000).map { Double($0 % 83) / 4 }
    let amperes = (0..<2000).map { Double($0 % 37) / 8 - 5 }
    let result = try model.predict(
      Batch(rowCount: 2000, columns: [Column(.float64(volts)), Column(.float64(amperes))]),
      workspace: Workspace())
    guard case .int64(let labels) = result.columns[0].values,
      case .float32(let decisions) = result.columns[1].values
    else {
      Issue.record("outputs are \(result.columns.map(\.values))")
      return
    }
    for row in 0..<2000 {
      let want = sensor.decision([volts[row], amperes[row]], exp: Foundation.exp)
      #expect(abs(Double(decisions[row]) - want) < 1e-6)
      if abs(want) > 1e-6 { #expect(labels[row] == (want > 0 ? 1 : -1)) }
    }
  }

  @Test("agrees with the reference on each reading", .enabled(if: hasData))
  func reference() throws {
    let parameters = try JSONDecoder().decode(
      [String: Parameters].self,
      from: Data(contentsOf: Self.data.appendingPathComponent("ocsvm_params.json")))
    var models: [String: Model] = [:]
    for (name, parameters) in parameters {
      models[name] = try Model.load(parameters.model.onnx())
    }
    #expect(models.count == 15)
    let text = try String(
      contentsOf: Self.data.appendingPathComponent("expected_predictions.csv"), encoding: .utf8)
    var groups: [String: [(value: Double, decision: Double, anomaly: Int64)]] = [:]
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
      let cells = line.split(separator: ",")
      groups["model_\(cells[1])_\(cells[2])", default: []].append(
        (
          try #require(Double(cells[3])), try #require(Double(cells[4])),
          try #require(Int64(cells[5]))
        ))
    }
    let workspace = Workspace()
    var (rows, near, anomalies) = (0, 0, 0)
    for (name, readings) in groups {
      let model = try #require(models[name])
      let result = try model.predict(
        Batch(rowCount: readings.count, columns: [Column(.float64(readings.map(\.value)))]),
        workspace: workspace)
      #expect(result.failures.isEmpty)
      guard case .int64(let labels) = result.columns[0].values else {
        Issue.record("label is \(result.columns[0])")
        continue
      }
      for (label, reading) in zip(labels, readings) {
        rows += 1
        anomalies += label == 1 ? 0 : 1
        if abs(reading.decision) <= 1e-6 {
          near += 1
        } else {
          #expect(label == (reading.anomaly == 0 ? 1 : -1), "\(name) at \(reading.decision)")
        }
      }
    }
    #expect(rows == 17_768)
    print("sensor readings: \(rows) rows, \(anomalies) anomalies, \(near) within 1e-6 of zero")
  }
}

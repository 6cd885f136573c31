import Foundation
import Inference
import Testing

/// Recurrent and quantized networks, as `zoo_layers.py` writes them.
struct LayerZooTests {
  /// What the answers may differ by.
  struct Facts: Decodable { var tolerance: Double }

  /// The fixtures, and the others where they were made.
  static let cases: [NetworkTests.Case] = {
    let folders = [
      ParityCase.folder.appendingPathComponent("layers"),
      OnnxConformanceTests.folder.deletingLastPathComponent().appendingPathComponent("layers"),
    ]
    var found: [String: NetworkTests.Case] = [:]
    for folder in folders {
      let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
      for name in names ?? [] {
        found[name] = NetworkTests.Case(folder: folder.appendingPathComponent(name))
      }
    }
    return found.sorted { $0.key < $1.key }.map(\.value)
  }()

  /// A column for each input; one for each number of a row where the model is one of a table.
  private static func columns(_ network: NetworkTests.Case, of model: Model) throws -> [Column] {
    let columns = try network.columns()
    guard columns.count == 1, model.signature.features.count > 1,
      case .float32(let values) = columns[0].values
    else { return columns }
    let width = model.signature.features.count
    return (0..<width).map { feature in
      Column(.float32(stride(from: feature, to: values.count, by: width).map { values[$0] }))
    }
  }

  /// The greatest difference; a model of a table has a column for each number.
  private static func distance(
    _ network: NetworkTests.Case, _ found: Predictions, from library: String
  ) throws -> Double? {
    guard let wanted = try network.datum("\(library)_0") else { return nil }
    let width = wanted.dims.dropFirst().reduce(1, *)
    guard found.columns.count == width, width > 1 else {
      return try network.distance(found, from: library)
    }
    var worst = 0.0
    for (place, column) in found.columns.enumerated() {
      guard case .float32(let values) = column.values else { return .infinity }
      for (row, value) in values.enumerated() {
        worst = max(worst, abs(Double(value) - wanted.values[row * width + place]))
      }
    }
    return worst
  }

  @Test(
    "Recurrent and quantized networks agree with PyTorch and ONNX Runtime", arguments: cases)
  func layerZoo(network: NetworkTests.Case) throws {
    let facts = try JSONDecoder().decode(
      Facts.self, from: Data(contentsOf: network.folder.appendingPathComponent("case.json")))
    let model = try network.load()
    let columns = try Self.columns(network, of: model)
    let found = try model.predict(
      Batch(rowCount: columns[0].count, columns: columns), workspace: Workspace())
    #expect(found.failures.isEmpty)
    var compared = 0
    for library in ["torch", "runtime"] {
      guard let distance = try Self.distance(network, found, from: library) else { continue }
      compared += 1
      print("layers \(network): \(distance) from \(library)")
      #expect(distance <= facts.tolerance)
    }
    #expect(compared > 0)
  }

  @Test(
    "A row's answer is the same in any batch",
    arguments: cases.filter { !$0.testDescription.hasPrefix("lstm_long") })
  func rowsAreIndependent(network: NetworkTests.Case) throws {
    try NetworkKernels.$isPlain.withValue(true) {
      let model = try network.load()
      let columns = try Self.columns(network, of: model)
      let all = try model.predict(
        Batch(rowCount: columns[0].count, columns: columns), workspace: Workspace())
      let workspace = Workspace()
      for row in [0, columns[0].count - 1] {
        let alone = try model.predict(
          Batch(rowCount: 1, columns: columns.map { $0.row(row) }), workspace: workspace)
        for (one, many) in zip(alone.columns, all.columns) {
          #expect(one.values == many.row(row).values)
        }
      }
    }
  }
}

extension Column {
  /// One row alone.
  fileprivate func row(_ row: Int) -> Column {
    func part<T>(_ list: [T]) -> [T] { Array(list[(row * width)..<((row + 1) * width)]) }
    return switch values {
    case .float32(let list): Column(.float32(part(list)), shape: shape)
    case .int64(let list): Column(.int64(part(list)), shape: shape)
    default: self
    }
  }
}

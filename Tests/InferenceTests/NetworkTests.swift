import Foundation
import Inference
import Testing

/// Networks of tensors, by oneDNN where it is there and by the engine's own kernels.
struct NetworkTests {
  /// A network with the answers of PyTorch and ONNX Runtime, as `zoo_networks.py` writes it.
  struct Case: CustomTestStringConvertible {
    let folder: URL

    var testDescription: String { folder.lastPathComponent }

    func datum(_ name: String) throws -> (dims: [Int], values: [Double], type: String)? {
      guard let data = try? Data(contentsOf: folder.appendingPathComponent("\(name).pb")),
        case .numbers(let type, let dims, let values) = try OnnxDatum(tensor: [UInt8](data))
      else { return nil }
      return (dims, values, type)
    }

    func columns() throws -> [Column] {
      var columns: [Column] = []
      while let (dims, values, type) = try datum("input_\(columns.count)") {
        columns.append(
          Column(
            type.contains("float")
              ? .float32(values.map { Float($0) }) : .int64(values.map { Int64($0) }),
            shape: Array(dims.dropFirst())))
      }
      return columns
    }

    func load() throws -> Model {
      let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent("model.onnx")))
      return try Model.load(bytes, directory: folder.path)
    }

    /// The largest difference to what another library computes; nil where it has not computed it.
    func distance(_ predictions: Predictions, from library: String) throws -> Double? {
      var worst: Double?
      for (index, column) in predictions.columns.enumerated() {
        guard let wanted = try datum("\(library)_\(index)") else { continue }
        guard case .float32(let found) = column.values else { return .infinity }
        #expect(found.count == wanted.values.count)
        #expect(column.shape == Array(wanted.dims.dropFirst()))
        for (a, b) in zip(found, wanted.values) {
          worst = max(worst ?? 0, (Double(a) - b).isNaN ? .infinity : abs(Double(a) - b))
        }
      }
      return worst
    }

    /// The largest difference between the answers of PyTorch and ONNX Runtime; nil where one is missing.
    func distanceOfLibraries() throws -> Double? {
      var (worst, index): (Double?, Int) = (nil, 0)
      while let a = try datum("torch_\(index)"), let b = try datum("runtime_\(index)") {
        worst = zip(a.values, b.values).reduce(worst ?? 0) { max($0, abs($1.0 - $1.1)) }
        index += 1
      }
      return worst
    }
  }

  static let tiny = Case(
    folder: ParityCase.root.appendingPathComponent("Tests/InferenceTests/Fixtures/networks/tiny"))

  static let zoo: [Case] = {
    let folder = OnnxConformanceTests.folder.deletingLastPathComponent()
      .appendingPathComponent("networks")
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (names ?? []).sorted().map { Case(folder: folder.appendingPathComponent($0)) }
  }()

  @Test("A network agrees with PyTorch and ONNX Runtime", arguments: [false, true])
  func tinyNetwork(isPlain: Bool) throws {
    try NetworkKernels.$isPlain.withValue(isPlain) {
      let model = try Self.tiny.load()
      #expect(model.signature.features.map(\.shape) == [[3, 16, 16]])
      #expect(model.signature.outputs.map(\.shape) == [[5]])
      let columns = try Self.tiny.columns()
      let found = try model.predict(
        Batch(rowCount: columns[0].count, columns: columns), workspace: Workspace())
      #expect(found.failures.isEmpty)
      for library in ["torch", "runtime"] {
        let distance = try #require(try Self.tiny.distance(found, from: library))
        #expect(distance < 1e-5)
      }
    }
  }

  @Test("The engine's own kernels give a row the same numbers in any batch, on any threads")
  func rowsAreIndependent() throws {
    try NetworkKernels.$isPlain.withValue(true) {
      let model = try Self.tiny.load()
      let column = try Self.tiny.columns()[0]
      let all = try model.predict(
        Batch(rowCount: column.count, columns: [column]), workspace: Workspace(threads: 3))
      guard case .float32(let numbers) = column.values,
        case .float32(let answers) = all.columns[0].values
      else {
        Issue.record("not floats")
        return
      }
      let workspace = Workspace()
      for row in 0..<column.count {
        let own = Array(numbers[(row * column.width)..<((row + 1) * column.width)])
        let alone = try model.predict(
          Batch(rowCount: 1, columns: [Column(.float32(own), shape: column.shape)]),
          workspace: workspace)
        #expect(alone.columns[0].values == .float32(Array(answers[(row * 5)..<(row * 5 + 5)])))
      }
    }
  }

  @Test("A row that is missing or not finite fails, and its neighbours are scored")
  func failures() throws {
    let model = try Self.tiny.load()
    var column = try Self.tiny.columns()[0]
    let good = try model.predict(
      Batch(rowCount: column.count, columns: [column]), workspace: Workspace())
    guard case .float32(var numbers) = column.values else {
      Issue.record("not floats")
      return
    }
    numbers[column.width + 7] = .infinity
    column.values = .float32(numbers)
    column.nulls = [1]
    let found = try model.predict(
      Batch(rowCount: column.count, columns: [column]), workspace: Workspace())
    #expect(found.failures.map(\.row) == [0, 1])
    #expect(found.failures.map(\.code) == [.missing, .notFinite])
    guard case .float32(let a) = good.columns[0].values,
      case .float32(let b) = found.columns[0].values
    else {
      Issue.record("not floats")
      return
    }
    #expect(a[10...] == b[10...])
  }

  @Test("A column of another shape is refused")
  func shapes() throws {
    let model = try Self.tiny.load()
    let column = Column(.float32(Array(repeating: 0, count: 768)), shape: [16, 16, 3])
    #expect(throws: ModelError.self) {
      try model.predict(Batch(rowCount: 1, columns: [column]), workspace: Workspace())
    }
  }

  @Test(
    "Networks of torchvision and transformers agree with PyTorch and ONNX Runtime",
    .enabled(if: !zoo.isEmpty), arguments: zoo)
  func networkZoo(network: Case) throws {
    let columns = try network.columns()
    let found = try network.load().predict(
      Batch(rowCount: columns[0].count, columns: columns), workspace: Workspace())
    #expect(found.failures.isEmpty)
    var compared = 0
    // Where the two are further from each other than that, they do not say more about what is right.
    let tolerance = max(1e-4, try network.distanceOfLibraries() ?? 0)
    for library in ["torch", "runtime", "expected"] {
      guard let distance = try network.distance(found, from: library) else { continue }
      compared += 1
      print("network \(network): \(distance) from \(library)")
      #expect(distance < tolerance)
    }
    #expect(compared > 0)
  }
}

import Inference
import ModelFixtures
import Testing

/// Loops, branches, functions and shapes that depend on values: right, the same for any batch, and
/// ended where a hostile model would not end.
@Suite struct OnnxControlFlowTests {
  static func values(
    _ model: Model, _ columns: [[Float]], blocks: Int
  ) throws -> (values: [Float], failures: [Predictions.Failure]) {
    let workspace = Workspace()
    let count = columns[0].count
    var values: [Float] = []
    var failures: [Predictions.Failure] = []
    for start in stride(from: 0, to: count, by: blocks) {
      let rows = start..<min(start + blocks, count)
      let batch = Batch(
        rowCount: rows.count, columns: columns.map { Column(.float32(Array($0[rows]))) })
      let found = try model.predict(batch, workspace: workspace)
      guard case .float32(let column) = found.columns[0].values else { return ([], []) }
      values += column
      failures += found.failures.map {
        .init(row: $0.row + start, code: $0.code, reason: $0.reason)
      }
    }
    return (values, failures)
  }

  /// A loop that doubles its state while it is below a bound.
  static func doubling(bound: Float) -> OnnxWriter {
    var body = OnnxWriter(opset: 16)
    body.input("turn", .int64, [])
    body.input("going", .bool, [])
    body.input("state", .float, [nil, 1])
    body.initializer("two", .init(dims: [1, 1], .floats([2])))
    body.initializer("bound", .init(dims: [1, 1], .floats([bound])))
    body.initializer("scalar", .init(dims: [0], .ints([])))
    body.node("Mul", ["state", "two"], ["next"])
    body.node("Less", ["next", "bound"], ["less"])
    body.node("Reshape", ["less", "scalar"], ["more"])
    body.output("more", .bool, [])
    body.output("next", .float, [nil, 1])
    var model = OnnxWriter(opset: 16)
    model.input("x", .float, [nil, 1])
    model.node("Loop", name: "loop", ["", "", "x"], ["y"], [("body", .graph(body))])
    model.output("y", .float, [nil, 1])
    return model
  }

  @Test("a loop runs for each row until its own condition ends it")
  func loop() throws {
    let model = try Model.load(Self.doubling(bound: 100).bytes(), format: .onnx)
    let rows: [Float] = [1, 3, 99, 120, 7, 50, 64]
    let wanted: [Float] = [128, 192, 198, 240, 112, 100, 128]
    for blocks in [1, 2, rows.count] {
      let found = try Self.values(model, [rows], blocks: blocks)
      #expect(found.values == wanted)
      #expect(found.failures.isEmpty)
    }
  }

  @Test("a loop that does not end is a failure of its row, and no other")
  func endless() throws {
    let model = try Model.load(Self.doubling(bound: 100).bytes(), format: .onnx)
    let found = try Self.values(model, [[1, -1, 3]], blocks: 3)
    #expect(found.values[0] == 128)
    #expect(found.values[2] == 192)
    // Minus one doubles down to minus infinity, which stays below the bound.
    #expect(found.failures.map(\.row) == [1])
    #expect(found.failures.first?.reason.contains("steps") == true)
  }

  @Test("a loop whose state grows is ended before it takes the memory")
  func growth() throws {
    var body = OnnxWriter(opset: 16)
    body.input("turn", .int64, [])
    body.input("going", .bool, [])
    body.input("state", .double, [nil])
    body.node("Concat", ["state", "state"], ["next"], [("axis", .int(0))])
    body.output("going", .bool, [])
    body.output("next", .double, [nil])
    var model = OnnxWriter(opset: 16)
    model.input("x", .double, [nil, 4])
    model.initializer("flat", .init(dims: [1], .ints([-1])))
    model.node("NonZero", ["x"], ["places"])
    model.node("Reshape", ["x", "flat"], ["start"])
    model.node("Loop", name: "loop", ["", "", "start"], ["grown"], [("body", .graph(body))])
    model.node("ReduceSum", ["grown"], ["y"])
    model.output("y", .double, [nil, 1])
    let error = OnnxHostileTests.refusal(model.bytes())
    #expect(error?.code == .tooLarge, "\(String(describing: error))")
    // Not the size of one tensor but what all turns take.
    let sum = #expect(throws: ModelError.self) { try Model.load(model.bytes(), format: .onnx) }
    #expect(sum?.message == "the results of a row take more than 268435456 bytes")
  }

  @Test("texts that double with each node end before they take the memory")
  func doublingTexts() throws {
    var model = OnnxWriter(opset: 20)
    model.input("x0", .string, [nil, 1])
    for index in 0..<40 {
      model.node("StringConcat", ["x\(index)", "x\(index)"], ["x\(index + 1)"])
    }
    model.output("x40", .string, [nil, 1])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let found = try loaded.predict(
      Batch(rowCount: 2, columns: [Column(.string(["ab", ""]))]), workspace: Workspace())
    #expect(found.failures.map(\.row) == [0])
    #expect(found.failures.first?.reason.contains("bytes") == true)
    #expect(found.columns[0] == Column(.string(["", ""])))
  }

  @Test("a function that calls itself is refused")
  func recursion() {
    var model = OnnxWriter(opset: 16)
    model.opsets.append(("local", 1))
    model.input("x", .float, [nil, 1])
    model.function(
      "again", inputs: ["a"],
      [
        .init(type: "again", domain: "local", inputs: ["a"], outputs: ["b"]),
        .init(type: "Neg", inputs: ["b"], outputs: ["c"]),
      ])
    model.node("again", domain: "local", ["x"], ["y"])
    model.output("y", .float, [nil, 1])
    #expect(OnnxHostileTests.refusal(model.bytes())?.code == .malformed)
  }

  @Test("a function's nodes take its place, with the attributes of the call")
  func function() throws {
    var model = OnnxWriter(opset: 16)
    model.opsets.append(("local", 1))
    model.input("x", .float, [nil, 1])
    model.function(
      "leaky", inputs: ["a"],
      [
        .init(
          type: "LeakyRelu", inputs: ["a"], outputs: ["b"],
          attributes: [("alpha", .reference("slope"))]),
        .init(type: "Add", inputs: ["b", "a"], outputs: ["c"]),
      ])
    model.node("leaky", domain: "local", ["x"], ["half"], [("slope", .float(0.5))])
    model.node("leaky", domain: "local", ["half"], ["y"], [("slope", .float(0.25))])
    model.output("y", .float, [nil, 1])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    // For x below zero x + x / 2, and of that a + a / 4.
    let found = try Self.values(loaded, [[4, -4]], blocks: 2)
    #expect(found.values == [16, -7.5])
  }

  @Test("what depends on a row's values is found for each row")
  func selection() throws {
    var model = OnnxWriter(opset: 16)
    model.input("x", .float, [nil, 4])
    model.initializer("zero", .init(dims: [], .floats([0])))
    model.initializer("one", .init(dims: [1], .ints([1])))
    model.initializer("shape", .init(dims: [2], .ints([1, 1])))
    model.node("Greater", ["x", "zero"], ["positive"])
    model.node("NonZero", ["positive"], ["places"])
    model.node("Shape", ["places"], ["sizes"])
    model.node("Gather", ["sizes", "one"], ["count"])
    model.node("Cast", ["count"], ["number"], [("to", .int(1))])
    model.node("Reshape", ["number", "shape"], ["y"])
    model.output("y", .float, [nil, 1])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let columns: [[Float]] = [[1, -1, 0], [1, -1, 0], [1, 2, 0], [1, 3, 0]]
    for blocks in [1, 3] {
      #expect(try Self.values(loaded, columns, blocks: blocks).values == [4, 2, 0])
    }
  }

  @Test("a scan along the rows gives each row its distances")
  func scan() throws {
    var body = OnnxWriter(opset: 16)
    body.input("points_in", .float, [3, 2])
    body.input("row", .float, [2])
    body.node("Identity", ["points_in"], ["points_out"])
    body.node("Sub", ["points_in", "row"], ["difference"])
    body.node(
      "ReduceSumSquare", ["difference"], ["distance"],
      [("axes", .ints([1])), ("keepdims", .int(0))])
    body.output("points_out", .float, [3, 2])
    body.output("distance", .float, [3])
    var model = OnnxWriter(opset: 16)
    model.input("x", .float, [nil, 2])
    model.initializer("points", .init(dims: [3, 2], .floats([0, 0, 1, 1, 2, -1])))
    model.node(
      "Scan", name: "scan", ["points", "x"], ["unused", "distances"],
      [("body", .graph(body)), ("num_scan_inputs", .int(1))])
    model.node("ReduceMin", ["distances"], ["y"], [("axes", .ints([1]))])
    model.output("y", .float, [nil, 1])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let columns: [[Float]] = [[0, 1, 5, 0.5], [0, 1, -1, 0.5]]
    for blocks in [1, 3, 4] {
      #expect(try Self.values(loaded, columns, blocks: blocks).values == [0, 0, 9, 0.5])
    }
  }

  @Test("a scan over constant points takes all rows at each step")
  func pointByPoint() throws {
    var body = OnnxWriter(opset: 16)
    body.input("rows_in", .float, [nil, 2])
    body.input("point", .float, [2])
    body.node("Identity", ["rows_in"], ["rows_out"])
    body.node("Sub", ["rows_in", "point"], ["difference"])
    body.node(
      "ReduceL1", ["difference"], ["distance"], [("axes", .ints([1])), ("keepdims", .int(0))])
    body.output("rows_out", .float, [nil, 2])
    body.output("distance", .float, [nil])
    var model = OnnxWriter(opset: 16)
    model.input("x", .float, [nil, 2])
    model.initializer("points", .init(dims: [3, 2], .floats([0, 0, 1, 1, 2, -1])))
    model.node(
      "Scan", name: "scan", ["x", "points"], ["unused", "distances"],
      [("body", .graph(body)), ("num_scan_inputs", .int(1))])
    model.node("Transpose", ["distances"], ["turned"], [("perm", .ints([1, 0]))])
    model.node("ReduceMin", ["turned"], ["y"], [("axes", .ints([1]))])
    model.output("y", .float, [nil, 1])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let columns: [[Float]] = [[0, 1, 5, 0.5], [0, 1, -1, 0.25]]
    for blocks in [1, 3, 4] {
      #expect(try Self.values(loaded, columns, blocks: blocks).values == [0, 0, 3, 0.75])
    }
  }

  @Test("states of a scan belong to their rows")
  func states() throws {
    var body = OnnxWriter(opset: 16)
    body.input("sum", .float, [nil])
    body.input("last", .float, [nil])
    body.input("part", .float, [nil])
    body.node("Add", ["sum", "part"], ["total"])
    body.node("Mul", ["last", "part"], ["product"])
    body.output("total", .float, [nil])
    body.output("product", .float, [nil])
    var model = OnnxWriter(opset: 16)
    model.input("x", .float, [nil, 4])
    model.initializer("first", .init(dims: [], .ints([0])))
    model.node("Gather", ["x", "first"], ["start"], [("axis", .int(1))])
    model.node(
      "Scan", name: "scan", ["start", "start", "x"], ["sums", "products"],
      [("body", .graph(body)), ("num_scan_inputs", .int(1)), ("scan_input_axes", .ints([1]))])
    model.node("Sub", ["products", "sums"], ["y"])
    model.output("y", .float, [nil])
    let loaded = try Model.load(model.bytes(), format: .onnx)
    let columns: [[Float]] = [[1, 2], [2, 3], [3, 1], [4, -1]]
    // Products of the row times its first number, less their sum and it.
    for blocks in [1, 2] {
      #expect(try Self.values(loaded, columns, blocks: blocks).values == [24 - 11, -12 - 7])
    }
  }
}

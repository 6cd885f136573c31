import Inference
import ModelFixtures
import Testing

/// Networks that find objects in images: a list a row, in pixels of the image.
struct ObjectTests {
  /// Two boxes with a score each: how red and how green the image is, out of 1.
  private static func detector(
    boxes: [Float] = [0, 0, 4, 4, 1, 1, 3, 2], asOne: Bool = false, count: Int64? = nil,
    hasOutputs: Bool = true
  ) -> OnnxWriter {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.initializer(
      "means",
      .init(
        dims: [48, 2], .floats((0..<96).map { $0 / 2 / 16 == $0 % 2 ? Float(1) / 16 : 0 })))
    model.node("Flatten", ["picture"], ["flat"])
    model.node("MatMul", ["flat", "means"], ["shares"])
    model.initializer("last", .init(dims: [1], .ints([2])))
    model.initializer("corners", .init(dims: [1, 2, 4], .floats(boxes)))
    model.initializer("kinds", .init(dims: [1, 2, 1], .floats([1, 0])))
    model.initializer("zero", .init(dims: [], .floats([0])))
    model.node("Unsqueeze", ["shares", "last"], ["column"])
    model.node("Mul", ["column", "zero"], ["nothing"])
    model.node("Add", ["nothing", "corners"], ["found"])
    model.node("Add", ["nothing", "kinds"], ["kind"])
    if !hasOutputs { return model }
    if asOne {
      model.node("Concat", ["found", "column", "kind"], ["output0"], [("axis", .int(2))])
      model.output("output0", .float, [nil, 2, 6])
      return model
    }
    model.node("Identity", ["found"], ["boxes"])
    model.node("Identity", ["shares"], ["scores"])
    model.node("Squeeze", ["kind", "last"], ["labels_float"])
    model.node("Cast", ["labels_float"], ["labels"], [("to", .int(7))])
    model.output("boxes", .float, [nil, 2, 4])
    model.output("scores", .float, [nil, 2])
    model.output("labels", .int64, [nil, 2])
    if let count {
      model.initializer("axis", .init(dims: [1], .ints([1])))
      model.initializer("given", .init(dims: [], .floats([Float(count)])))
      model.node("ReduceSum", ["nothing", "axis"], ["sum"], [("keepdims", .int(0))])
      model.node("Add", ["sum", "given"], ["num_detections"])
      model.output("num_detections", .float, [nil, 1])
    }
    return model
  }

  private static func load(_ writer: OnnxWriter, _ setup: String, labels: [String]? = nil) throws
    -> Model
  {
    try Model.load(
      writer.bytes(), labels: labels, options: ModelOptions(setup: ModelSetup.read(json: setup)))
  }

  /// An image of one colour.
  private static func picture(_ red: UInt8, _ green: UInt8, width: Int, height: Int) throws
    -> [UInt8]
  {
    let pixels: [UInt8] = (0..<width * height).flatMap { _ -> [UInt8] in [red, green, 0] }
    return try #require(
      JPEGEncoder.encode(pixels, width: width, height: height, channels: 3, quality: 100))
  }

  private struct Found: Equatable {
    var label: String
    var box: [Float]
  }

  private static func find(_ model: Model, _ images: [[UInt8]]) throws -> [[Found]] {
    let answer = try model.predict(
      Batch(rowCount: images.count, columns: [Column(.bytes(images))]), workspace: Workspace())
    try #require(answer.columns.count == 3)
    guard case .float32(let boxes) = answer.columns[0].values,
      case .float32(let scores) = answer.columns[1].values,
      case .string(let labels) = answer.columns[2].values, let counts = answer.columns[0].counts
    else {
      Issue.record("the columns are of other types")
      return []
    }
    let width = answer.columns[1].width
    return images.indices.map { row in
      let own = Array(scores[(row * width)..<(row * width + counts[row])])
      #expect(own == own.sorted(by: >))
      return (0..<counts[row]).map { index in
        let place = row * width + index
        return Found(label: labels[place], box: Array(boxes[(place * 4)..<(place * 4 + 4)]))
      }
    }
  }

  @Test func boxesAreInPixelsOfTheImage() throws {
    let setup = #"{"image": {"preset": "plain"}, "objects": {}}"#
    for writer in [Self.detector(), Self.detector(asOne: true)] {
      let model = try Self.load(writer, setup, labels: ["leaf", "apple"])
      #expect(model.signature.outputs.map(\.name) == ["boxes", "scores", "labels"])
      let found = try Self.find(
        model,
        [
          Self.picture(255, 128, width: 40, height: 20),
          Self.picture(20, 200, width: 8, height: 8),
          Self.picture(20, 20, width: 8, height: 8),
        ])
      #expect(
        found == [
          [
            Found(label: "apple", box: [0, 0, 40, 20]), Found(label: "leaf", box: [10, 5, 30, 10]),
          ], [Found(label: "leaf", box: [2, 2, 6, 4])], [],
        ])
    }
  }

  @Test func cropsAndBordersAreUndone() throws {
    let wide = try Self.picture(255, 128, width: 40, height: 20)
    let cut = try Self.load(
      Self.detector(),
      #"{"image": {"fit": "crop", "resize": 4}, "objects": {"threshold": 0.1}}"#)
    // 40 x 20 becomes 8 x 4, of which columns 2 to 6 are the input.
    #expect(
      try Self.find(cut, [wide])[0] == [
        Found(label: "1", box: [10, 0, 30, 20]), Found(label: "0", box: [15, 5, 25, 10]),
      ])
    let whole = try Self.load(
      Self.detector(), #"{"image": {"fit": "pad"}, "objects": {"threshold": 0.05}}"#)
    // 40 x 20 becomes 4 x 2, with one line of the border above and below.
    #expect(
      try Self.find(whole, [wide])[0] == [
        Found(label: "1", box: [0, 0, 40, 20]), Found(label: "0", box: [10, 0, 30, 10]),
      ])
  }

  @Test(arguments: [
    ("xyxy", [Float(0), 0, 2, 4, 1, 1, 3, 2]), ("yxyx", [0, 0, 4, 2, 1, 1, 2, 3]),
    ("xywh", [0, 0, 2, 4, 1, 1, 2, 1]), ("cxcywh", [1, 2, 2, 4, 2, 1.5, 2, 1]),
  ])
  func cornersAreAsTheNetworkHasThem(corners: String, boxes: [Float]) throws {
    for (unit, factor) in [("pixels", Float(1)), ("share", 0.25)] {
      let model = try Self.load(
        Self.detector(boxes: boxes.map { $0 * factor }),
        #"{"image": {}, "objects": {"boxes": "\#(corners)", "unit": "\#(unit)"}}"#)
      #expect(
        try Self.find(model, [Self.picture(255, 128, width: 4, height: 4)])[0].map(\.box) == [
          [0, 0, 2, 4], [1, 1, 3, 2],
        ])
    }
  }

  @Test func aCountSaysHowManyAreMeant() throws {
    let model = try Self.load(
      Self.detector(count: 1), #"{"image": {}, "objects": {"threshold": 0}}"#)
    #expect(try Self.find(model, [Self.picture(255, 128, width: 4, height: 4)])[0].count == 1)
  }

  /// Scores of two classes for three boxes, the first two of which nearly cover each other.
  private static func head() -> OnnxWriter {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    // Six numbers for each of three boxes, number by number, and five that are nothing.
    let rows: [[Float]] = [
      [2, 2, 3], [2, 2, 1], [4, 3.6, 2], [4, 4, 2], [0.9, 0.8, 0.1], [0.2, 0.1, 0.6],
    ].map { $0 + [0, 0, 0, 0, 0] }
    model.initializer("zeros", .init(dims: [48, 1], .floats(Array(repeating: 0, count: 48))))
    model.initializer("values", .init(dims: [1, 6, 8], .floats(rows.flatMap { $0 })))
    model.initializer("last", .init(dims: [1], .ints([2])))
    model.node("Flatten", ["picture"], ["flat"])
    model.node("MatMul", ["flat", "zeros"], ["nothing"])
    model.node("Unsqueeze", ["nothing", "last"], ["none"])
    model.node("Add", ["none", "values"], ["output0"])
    model.output("output0", .float, [nil, 6, 8])
    return model
  }

  @Test func whatOverlapsABetterBoxIsLeftOut() throws {
    let image = try Self.picture(9, 9, width: 4, height: 4)
    let boxes = #""boxes": "cxcywh""#
    let model = try Self.load(Self.head(), #"{"image": {}, "objects": {\#(boxes)}}"#)
    #expect(
      try Self.find(model, [image])[0] == [
        Found(label: "0", box: [0, 0, 4, 4]), Found(label: "1", box: [2, 0, 4, 2]),
      ])
    let all = try Self.load(Self.head(), #"{"image": {}, "objects": {\#(boxes), "overlap": 1}}"#)
    #expect(try Self.find(all, [image])[0].map(\.label) == ["0", "0", "1"])
    let one = try Self.load(Self.head(), #"{"image": {}, "objects": {\#(boxes), "most": 1}}"#)
    #expect(try Self.find(one, [image])[0].map(\.label) == ["0"])
  }

  /// A list as long as NonMaxSuppression makes it.
  private static func list() -> OnnxWriter {
    var model = detector(boxes: [0, 0, 4, 4, 0, 0, 4, 3.5], hasOutputs: false)
    model.initializer("classes", .init(dims: [1], .ints([1])))
    model.node("Unsqueeze", ["shares", "classes"], ["of_class"])
    model.initializer("most", .init(dims: [1], .ints([10])))
    model.initializer("share", .init(dims: [1], .floats([0.5])))
    model.initializer("least", .init(dims: [1], .floats([0.05])))
    model.node(
      "NonMaxSuppression", ["found", "of_class", "most", "share", "least"], ["chosen"])
    model.initializer("two", .init(dims: [], .ints([2])))
    model.node("Gather", ["chosen", "two"], ["indices"], [("axis", .int(1))])
    model.initializer("flat_boxes", .init(dims: [2], .ints([-1, 4])))
    model.initializer("flat_list", .init(dims: [1], .ints([-1])))
    model.node("Reshape", ["found", "flat_boxes"], ["all_boxes"])
    model.node("Reshape", ["shares", "flat_list"], ["all_scores"])
    model.node("Reshape", ["kind", "flat_list"], ["all_labels"])
    for name in ["boxes", "scores", "labels"] {
      model.node("Gather", ["all_\(name)", "indices"], ["best_\(name)"], [("axis", .int(0))])
    }
    model.output("best_boxes", .float, [nil, 4])
    model.output("best_scores", .float, [nil])
    model.output("best_labels", .float, [nil])
    return model
  }

  @Test func listsOfAnyLengthAreRead() throws {
    let model = try Self.load(
      Self.list(), #"{"image": {}, "objects": {"threshold": 0.05}}"#, labels: ["leaf", "apple"])
    let found = try Self.find(
      model,
      [
        Self.picture(255, 128, width: 4, height: 4), Self.picture(0, 0, width: 4, height: 4),
        Self.picture(20, 200, width: 4, height: 4),
      ])
    #expect(found.map { $0.map(\.label) } == [["apple"], [], ["leaf"]])
    #expect(found[2].first?.box == [0, 0, 4, 3.5])
  }

  @Test func aRowThatIsNoImageHasNoObjects() throws {
    let model = try Self.load(Self.detector(), #"{"image": {}, "objects": {}}"#)
    let answer = try model.predict(
      Batch(
        rowCount: 2,
        columns: [Column(.bytes([[1, 2], Self.picture(255, 0, width: 4, height: 4)]))]),
      workspace: Workspace())
    #expect(answer.failures.map(\.row) == [0])
    #expect(answer.columns[0].counts == [0, 1])
  }

  @Test(arguments: [
    (
      #"{"objects": {}}"#,
      "objects are found in images, and it is not said how they become the input"
    ),
    (
      #"{"image": {}, "softmax": true, "objects": {}}"#,
      "softmax is given for a network that finds objects"
    ),
    (
      #"{"image": {}, "objects": {"threshold": 2}}"#,
      "objects: threshold is 2.0, 0 to 1 is allowed"
    ),
    (
      #"{"image": {}, "objects": {"most": 5000}}"#, "objects: most is 5000, 1 to 1000 is allowed"
    ),
  ])
  func whatMakesNoSenseIsRefused(setup: String, message: String) {
    let error = #expect(throws: ModelError.self) { _ = try Self.load(Self.detector(), setup) }
    #expect(error?.message == message)
  }

  @Test func aNetworkOfClassesFindsNoObjects() {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.node("Flatten", ["picture"], ["scores"])
    model.output("scores", .float, [nil, 48])
    let error = #expect(throws: ModelError.self) {
      _ = try Self.load(model, #"{"image": {}, "objects": {}}"#)
    }
    #expect(error?.message == "objects: the model's only output is not boxes")
  }
}

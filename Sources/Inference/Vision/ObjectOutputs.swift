/// Where a network that finds objects has the boxes, scores and labels in its outputs.
///
/// Forms, each with the rows in front; n boxes, c classes:
///
/// - boxes [n, 4], scores [n] and labels [n], told by their names; a count, where there is an output of one
///   number, says how many of them are meant (torchvision, TensorFlow's detectors);
/// - boxes [n, 4] and scores [n, c] or [c, n];
/// - one output [n, 6]: box, score, label (YOLO with its suppression in the graph);
/// - one output [4 + c, n] or [n, 4 + c]: box, and a score a class; with `objectness` [n, 5 + c].
struct ObjectOutputs: Sendable, Equatable {
  /// Places of numbers in a row's part of an output.
  struct Field: Sendable, Equatable {
    var output: Int
    /// Of the first box.
    var start = 0
    /// From box to box.
    var stride: Int
    /// From coordinate to coordinate, or class to class.
    var step = 1
  }

  var boxCount: Int
  var boxes: Field
  var scores: Field
  /// Scores a box; 1 where the network names the label.
  var classCount = 1
  var labels: Field?
  var objectness: Field?
  /// The output that says how many boxes are meant.
  var count: Int?

  /// Whether the network leaves it to us to choose a label and to suppress what overlaps.
  var isRaw: Bool { labels == nil }

  /// - Parameter outputs: Names and sizes of a row's tensor.
  /// - Throws: `.mismatch` where they are none of the forms.
  init(
    _ outputs: [(name: String, shape: [Int])], objectness hasObjectness: Bool
  ) throws(ModelError) {
    func refuse(_ message: String) -> ModelError {
      ModelError(
        .mismatch, "objects: \(message)",
        detail: "It has \(outputs.map { "\"\($0.name)\" \($0.shape)" }.joined(separator: ", ")).",
        hint: "The article Images says which outputs are read as objects.")
    }
    func named(_ parts: [String], _ fits: ([Int]) -> Bool) -> Int? {
      outputs.indices.first { index in
        fits(outputs[index].shape)
          && parts.contains { outputs[index].name.lowercased().contains($0) }
      }
    }
    if outputs.count == 1 {
      let shape = outputs[0].shape
      guard shape.count == 2 else { throw refuse("the model's only output is not boxes") }
      self = try Self.single(shape, hasObjectness, refuse)
      return
    }
    guard
      let boxes = named(["box"], { $0.count == 2 && $0[1] == 4 })
        ?? outputs.indices.first(where: {
          outputs[$0].shape.count == 2 && outputs[$0].shape[1] == 4
        })
    else { throw refuse("no output of the model is boxes") }
    let boxCount = outputs[boxes].shape[0]
    self.boxCount = boxCount
    self.boxes = Field(output: boxes, stride: 4)
    let scoreNames = ["score", "conf", "prob", "logit"]
    if let list = named(scoreNames, { $0 == [boxCount] || boxCount == 1 && $0.isEmpty }) {
      guard
        let labels = named(["label", "class"], { $0 == [boxCount] || boxCount == 1 && $0.isEmpty })
      else { throw refuse("no output of the model is a label a box") }
      scores = Field(output: list, stride: 1)
      self.labels = Field(output: labels, stride: 1)
      count = named(["num", "count"], \.isEmpty)
      return
    }
    let table = { (shape: [Int]) in shape.count == 2 && shape.contains(boxCount) }
    guard
      let place = named(scoreNames + ["class"], table)
        ?? outputs.indices.first(where: { $0 != boxes && table(outputs[$0].shape) })
    else { throw refuse("no output of the model is scores of \(boxCount) boxes") }
    let shape = outputs[place].shape
    let isByBox = shape[0] == boxCount
    classCount = isByBox ? shape[1] : shape[0]
    scores =
      isByBox
      ? Field(output: place, stride: classCount) : Field(output: place, stride: 1, step: boxCount)
    guard classCount > 0, boxCount > 0 else { throw refuse("an output of the model is empty") }
  }

  private static func single(
    _ shape: [Int], _ hasObjectness: Bool, _ refuse: (String) -> ModelError
  ) throws(ModelError) -> ObjectOutputs {
    if shape[1] == 6, !hasObjectness {
      return ObjectOutputs(
        boxCount: shape[0], boxes: Field(output: 0, stride: 6),
        scores: Field(output: 0, start: 4, stride: 6),
        labels: Field(output: 0, start: 5, stride: 6))
    }
    // Of boxes there are more than of numbers for a box.
    let isByBox = shape[0] > shape[1]
    let (boxCount, width) = isByBox ? (shape[0], shape[1]) : (shape[1], shape[0])
    let head = hasObjectness ? 5 : 4
    guard width > head, boxCount > 0 else {
      throw refuse("\(width) numbers a box leave none for a class")
    }
    func field(_ start: Int) -> Field {
      isByBox
        ? Field(output: 0, start: start, stride: width)
        : Field(output: 0, start: start * boxCount, stride: 1, step: boxCount)
    }
    return ObjectOutputs(
      boxCount: boxCount, boxes: field(0), scores: field(head), classCount: width - head,
      objectness: hasObjectness ? field(4) : nil)
  }

  private init(
    boxCount: Int, boxes: Field, scores: Field, classCount: Int = 1, labels: Field? = nil,
    objectness: Field? = nil
  ) {
    (self.boxCount, self.boxes, self.scores) = (boxCount, boxes, scores)
    (self.classCount, self.labels, self.objectness) = (classCount, labels, objectness)
  }
}

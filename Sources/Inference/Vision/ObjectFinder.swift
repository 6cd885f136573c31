/// Reads the objects of images from a network's outputs: boxes in pixels of the image as it is seen, scores and
/// labels, the highest score first.
struct ObjectFinder: Sendable {
  let outputs: ObjectOutputs
  private let setup: ObjectSetup
  /// Names of the labels by number; their numbers where there are none.
  private let labels: [String]?
  private let input: (width: Float, height: Float)

  init(
    _ outputs: ObjectOutputs, setup: ObjectSetup, labels: [String]?, input: ImageInput
  ) {
    (self.outputs, self.setup, self.labels) = (outputs, setup, labels)
    self.input = (Float(input.width), Float(input.height))
  }

  /// The prediction's columns.
  static let signature: [Signature.Output] = [
    .init(name: "boxes", type: .float32, role: .box, shape: [-1, 4]),
    .init(name: "scores", type: .float32, role: .boxScore, shape: [-1]),
    .init(name: "labels", type: .string, role: .boxLabel, shape: [-1]),
  ]

  struct Object: Equatable {
    /// Left, top, right, bottom.
    var box: (Float, Float, Float, Float)
    var score: Float
    var label: Int

    static func == (a: Object, b: Object) -> Bool {
      a.box == b.box && a.score == b.score && a.label == b.label
    }

    /// The share that the intersection has of the union.
    func overlap(_ other: Object) -> Float {
      let width = min(box.2, other.box.2) - max(box.0, other.box.0)
      let height = min(box.3, other.box.3) - max(box.1, other.box.1)
      guard width > 0, height > 0 else { return 0 }
      let both = area + other.area - width * height
      return both > 0 ? width * height / both : 0
    }

    private var area: Float { (box.2 - box.0) * (box.3 - box.1) }
  }

  /// The objects of one image.
  ///
  /// - Parameters:
  ///   - views: The graph's outputs for a block of rows.
  ///   - place: How the image lies in the input.
  func objects(_ views: [TensorView], row: Int, of rowCount: Int, _ place: ImagePlace) -> [Object] {
    let bases = views.map { row * ($0.count / rowCount) }
    func number(_ field: ObjectOutputs.Field, _ box: Int, _ step: Int = 0) -> Float {
      Float(
        views[field.output].double(
          bases[field.output] + field.start + box * field.stride + step * field.step))
    }
    var meant = outputs.boxCount
    if let count = outputs.count {
      let given = views[count].double(bases[count])
      meant = given >= 0 ? Int(min(given, Double(meant))) : 0
    }
    let threshold = setup.threshold ?? ObjectSetup.usualThreshold
    var found: [Object] = []
    for box in 0..<meant {
      var (score, label) = (-Float.infinity, 0)
      for kind in 0..<outputs.classCount {
        let own = number(outputs.scores, box, kind)
        if own > score { (score, label) = (own, kind) }
      }
      if let field = outputs.objectness { score *= number(field, box) }
      if let field = outputs.labels {
        let own = number(field, box)
        guard own.isFinite, abs(own) < 1e9 else { continue }
        label = Int(own)
      }
      guard score >= threshold, score.isFinite, label >= 0 else { continue }
      let corners = (
        number(outputs.boxes, box, 0), number(outputs.boxes, box, 1),
        number(outputs.boxes, box, 2), number(outputs.boxes, box, 3)
      )
      guard let own = self.box(corners, place) else { continue }
      found.append(Object(box: own, score: score, label: label))
    }
    return chosen(found)
  }

  /// The label as the prediction has it.
  func name(_ label: Int) -> String {
    guard let labels, labels.indices.contains(label) else { return "\(label)" }
    return labels[label]
  }

  /// A box in the image, cut off at its edges; nil where nothing of it is in the image.
  private func box(
    _ given: (Float, Float, Float, Float), _ place: ImagePlace
  ) -> (Float, Float, Float, Float)? {
    let (a, b, c, d) = given
    var own =
      switch setup.boxes ?? .xyxy {
      case .xyxy: (a, b, c, d)
      case .yxyx: (b, a, d, c)
      case .xywh: (a, b, a + c, b + d)
      case .cxcywh: (a - c / 2, b - d / 2, a + c / 2, b + d / 2)
      }
    if setup.unit == .share {
      own = (own.0 * input.width, own.1 * input.height, own.2 * input.width, own.3 * input.height)
    }
    let seen = (
      place.x(own.0), place.y(own.1), place.x(own.2), place.y(own.3)
    )
    guard seen.2 > seen.0, seen.3 > seen.1 else { return nil }
    return seen
  }

  /// The best ones, without those that overlap a better one of their label.
  private func chosen(_ found: [Object]) -> [Object] {
    let most = setup.most ?? ObjectSetup.usualMost
    // Boxes of one score stay in the network's order.
    let order = found.indices.sorted {
      found[$0].score != found[$1].score ? found[$0].score > found[$1].score : $0 < $1
    }
    let overlap = setup.overlap ?? (outputs.isRaw ? ObjectSetup.usualOverlap : 1)
    var kept: [Object] = []
    for index in order {
      guard kept.count < most else { break }
      let own = found[index]
      if overlap < 1, kept.contains(where: { $0.label == own.label && $0.overlap(own) > overlap }) {
        continue
      }
      kept.append(own)
    }
    return kept
  }
}

/// Gathers the objects of a batch's rows into columns of lists.
struct ObjectCollector {
  private let finder: ObjectFinder
  private var rows: [[ObjectFinder.Object]]

  init(_ finder: ObjectFinder, rowCount: Int) {
    self.finder = finder
    rows = Array(repeating: [], count: rowCount)
  }

  mutating func take(_ views: [TensorView], _ block: Range<Int>, _ places: [ImagePlace?]) {
    for (offset, row) in block.enumerated() {
      guard let place = places[offset] else { continue }
      rows[row] = finder.objects(views, row: offset, of: block.count, place)
    }
  }

  func columns() -> [Column] {
    let counts = rows.map(\.count)
    let width = max(counts.max() ?? 0, 1)
    var boxes = [Float](repeating: 0, count: rows.count * width * 4)
    var scores = [Float](repeating: 0, count: rows.count * width)
    var labels = [String](repeating: "", count: rows.count * width)
    for (row, objects) in rows.enumerated() {
      for (index, object) in objects.enumerated() {
        let place = row * width + index
        (boxes[place * 4], boxes[place * 4 + 1]) = (object.box.0, object.box.1)
        (boxes[place * 4 + 2], boxes[place * 4 + 3]) = (object.box.2, object.box.3)
        scores[place] = object.score
        labels[place] = finder.name(object.label)
      }
    }
    return [
      Column(.float32(boxes), shape: [width, 4], counts: counts),
      Column(.float32(scores), shape: [width], counts: counts),
      Column(.string(labels), shape: [width], counts: counts),
    ]
  }
}

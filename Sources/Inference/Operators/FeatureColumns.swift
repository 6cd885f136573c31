/// ArrayFeatureExtractor: picks elements of the last axis by their places; a negative place counts
/// from the end.
///
/// Either constant places of each row's elements, or, where the data is constant, a place that
/// each row has computed.
struct ArrayFeatureExtractor: PicksElements, PassesElements {
  let outputs: [ValueInfo]
  /// Elements of the data's last axis.
  private let width: Int
  /// The places, where they are constant.
  private let places: [Int]?
  private let placesPerRow: Int
  private let name: String

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...2)
    let data = try node.input(0)
    let indices = try node.input(1, .int64, .int32)
    name = node.name
    guard let last = data.shape.dims.last, data.shape.rowAxis != data.shape.rank - 1 else {
      throw node.error(.malformed, "data of shape \(data.shape) has no axis of features")
    }
    width = last
    let placeCount = indices.shape.elementCount
    placesPerRow = placeCount
    // A single axis of data gives one row of results.
    let leading = data.shape.rank == 1 ? [1] : Array(data.shape.dims.dropLast())
    if let constant = indices.constant?.integers {
      for place in constant where !(-last..<last).contains(place) {
        throw node.error(.malformed, "place \(place) of \(last)")
      }
      places = constant.map { $0 < 0 ? $0 + last : $0 }
      outputs = [
        try node.output(
          data.type, Shape(leading + [placeCount], rowAxis: data.shape.rowAxis))
      ]
      return
    }
    guard !data.shape.isBatched, indices.shape.isRowMajor, last > 0 else {
      throw node.error(
        .unsupported,
        "places of shape \(indices.shape) in data of shape \(data.shape) are not supported")
    }
    places = nil
    outputs = [
      try node.output(data.type, Shape(leading + [placeCount], rowAxis: leading.count))
    ]
  }

  var pickedElements: [Int]? { outputs[0].shape.isRowMajor ? places : nil }

  func run(_ call: Call) {
    extract(call, call.input(0).type.element)
  }

  private func extract<T: TensorElement>(_ call: Call, _ type: T.Type) {
    let source: UnsafeMutablePointer<T> = call.input(0).pointer()
    let target: UnsafeMutablePointer<T> = call.output(0).pointer()
    if let places {
      guard width > 0 else { return }
      var at = 0
      for base in stride(from: 0, to: call.input(0).count, by: width) {
        for place in places {
          target[at] = source[base + place]
          at += 1
        }
      }
      return
    }
    let indices = call.input(1)
    for i in 0..<indices.count {
      var place = indices.integer(i)
      if place < 0, place >= -width {
        place += width
      } else if !(0..<width).contains(place) {
        place = 0
        call.failures.add(
          row: i / max(placesPerRow, 1), .wrongType,
          "a place is beyond \(width) elements (node \"\(name)\")")
      }
      for outer in 0..<(call.input(0).count / width) {
        target[outer * indices.count + i] = source[outer * width + place]
      }
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    guard input == 0, let places, width > 0, !places.isEmpty else {
      return Array(repeating: input == 0 && places != nil, count: count)
    }
    var result = Array(repeating: true, count: count)
    for (index, mayBe) in outputs[0].enumerated() where !mayBe {
      let element = index / places.count * width + places[index % places.count]
      if element < count { result[element] = false }
    }
    return result
  }
}

/// FeatureVectorizer: the features of several inputs beside each other, as floats.
///
/// An input longer than its declared dimension is cut, a shorter one filled up with zeros.
struct FeatureVectorizer: PassesElements {
  let outputs: [ValueInfo]
  private let rows: [FeatureRows]
  private let dimensions: [Int]

  init(_ node: Node) throws(ModelError) {
    var rows: [FeatureRows] = []
    for index in node.inputs.indices {
      let info = try node.input(index)
      guard info.type.isNumeric else {
        throw node.error(
          .unsupported, "input \(index) of type \(info.type.onnxName) is not supported")
      }
      rows.append(try FeatureRows(node, info))
    }
    let dimensions = try node.ints("inputdimensions") ?? rows.map(\.width)
    guard let first = rows.first, dimensions.count == rows.count else {
      throw node.error(.malformed, "\(dimensions.count) dimensions for \(rows.count) inputs")
    }
    // Rows stand side by side; a constant of one row stands beside each.
    let tallest = rows.first(where: \.isBatched) ?? first
    guard rows.allSatisfy({ $0.single == tallest.single || $0.single == Shape([1]) }) else {
      throw node.error(.malformed, "inputs have different numbers of rows")
    }
    var total = 0
    for dimension in dimensions {
      guard (0...node.limits.features).contains(dimension) else {
        throw node.error(.malformed, "a dimension is \(dimension)")
      }
      total += dimension
    }
    (self.rows, self.dimensions) = (rows, dimensions)
    outputs = [try node.output(.float32, tallest.wide(total))]
  }

  func run(_ call: Call) {
    let target = call.output(0).floats
    let total = dimensions.reduce(0, +)
    let count = call.output(0).dims[0]
    var offset = 0
    for (index, own) in rows.enumerated() {
      let source = call.input(index)
      let step = own.count(call) == count ? own.width : 0
      for row in 0..<count {
        for i in 0..<dimensions[index] {
          target[row * total + offset + i] = i < own.width ? source.float(row * step + i) : 0
        }
      }
      offset += dimensions[index]
    }
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    let offset = dimensions[..<input].reduce(0, +)
    let total = max(dimensions.reduce(0, +), 1)
    let width = max(rows[input].width, 1)
    return (0..<count).map { index in
      let (row, column) = (index / width, index % width)
      return column >= dimensions[input] || outputs[0][row * total + offset + column]
    }
  }
}

/// ZipMap: names the elements of a row by their classes; the values stay as they are.
///
/// What ONNX calls a sequence of maps is the same tensor here: the signature has the names.
struct ZipMap: Operator {
  let outputs: [ValueInfo]
  var isView: Bool { true }

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0, .float32, .float64)
    guard let labels = try ClassLabels(node, intsName: "classlabels_int64s") else {
      throw node.error(.malformed, "no class labels")
    }
    let rows = try FeatureRows(node, info)
    guard rows.width == labels.count else {
      throw node.error(.malformed, "\(labels.count) class labels for \(rows.width) values")
    }
    outputs = [try node.output(info.type, rows.wide(rows.width))]
  }

  func run(_ call: Call) {}

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] { outputs[0] }
}

extension TensorView {
  /// A numeric element as a float.
  func float(_ index: Int) -> Float {
    type == .float32 ? floats[index] : Float(double(index))
  }
}

internal import Inference
internal import Scoring

/// How a model's features and outputs are tensors.
///
/// A feature is an input of its name, `[rows]` (or `[rows, 1]`), or `[rows, …]` where it has a shape. Where
/// all features are numbers of one type they are also one input `input` of shape `[rows, features]`, in the
/// signature's order, which is what the metadata shows then. Probabilities of several classes are one output
/// `probability` of shape `[rows, classes]`, decision values likewise; each can also be asked for by its own
/// name.
struct TensorPlan: Sendable {
  /// A tensor as the metadata describes it; the first size is -1, the rows.
  struct Description: Sendable, Encodable {
    struct Parameters: Sendable, Encodable {
      var features: [String]?
      var classes: [String]?
    }

    var name: String
    var datatype: String
    var shape: [Int]
    var parameters: Parameters?
  }

  struct Output: Sendable {
    var name: String
    var type: TensorType
    /// The numbers of the columns that it is made of.
    var columns: [Int]
    /// Sizes behind the rows.
    var shape: [Int]
    /// Names of the classes whose values the columns are; nil where they are not.
    var classes: [String]?
  }

  static let matrixName = "input"

  let features: [Signature.Feature]
  /// Whether all features may come as one tensor.
  let hasMatrix: Bool
  /// What is answered unless something else is asked for.
  let outputs: [Output]
  private let named: [String: Output]
  private let numbers: [String: Int]

  init(_ signature: Signature) {
    features = signature.features
    let numbers = Dictionary(
      signature.features.enumerated().map { ($0.element.name, $0.offset) },
      uniquingKeysWith: { first, _ in first })
    self.numbers = numbers
    let first = signature.features.first?.type
    hasMatrix =
      signature.features.count > 1 && numbers[Self.matrixName] == nil
      && [.float32, .float64, .int64].contains(first)
      && signature.features.allSatisfy { $0.type == first && $0.shape == nil && $0.image == nil }
    let outputs = signature.outputs
    var shown: [Output] = []
    var named: [String: Output] = [:]
    for (index, output) in outputs.enumerated() {
      let own = Output(
        name: output.name, type: TensorType(output.type), columns: [index],
        shape: output.shape ?? [])
      named[output.name] = own
      let isOfClass = output.className != nil && output.shape == nil
      let family =
        isOfClass && [.probability, .decision].contains(output.role)
        ? outputs.indices.filter {
          outputs[$0].role == output.role && outputs[$0].type == output.type
            && outputs[$0].className != nil && outputs[$0].shape == nil
        } : []
      let name = output.role.rawValue
      guard family.count > 1, !outputs.contains(where: { $0.name == name }) else {
        shown.append(own)
        continue
      }
      guard family[0] == index else { continue }
      let group = Output(
        name: name, type: own.type, columns: family, shape: [family.count],
        classes: family.map { outputs[$0].className ?? "" })
      shown.append(group)
      named[name] = group
    }
    self.outputs = shown
    self.named = named
  }

  // MARK: Metadata

  var inputDescriptions: [Description] {
    if hasMatrix {
      return [
        Description(
          name: Self.matrixName, datatype: TensorType(features[0].type).rawValue,
          shape: [-1, features.count],
          parameters: .init(features: features.map(\.name)))
      ]
    }
    return features.map {
      Description(
        name: $0.name, datatype: TensorType($0.type).rawValue, shape: [-1] + ($0.shape ?? []))
    }
  }

  var outputDescriptions: [Description] {
    outputs.map {
      Description(
        name: $0.name, datatype: $0.type.rawValue, shape: [-1] + $0.shape,
        parameters: $0.classes.map { .init(classes: $0) })
    }
  }

  // MARK: Outputs

  func outputs(_ wanted: [InferRequest.Output]?) throws(Problem) -> [Output] {
    guard let wanted else { return outputs }
    var found: [Output] = []
    for output in wanted {
      guard let known = named[output.name] else {
        throw .badRequest(
          "the model has no output \"\(output.name)\"",
          hint: "Its outputs: \(outputs.map(\.name).joined(separator: ", ")).")
      }
      // Each is made of its own, however large: a small request shall not ask for a large answer.
      guard !found.contains(where: { $0.name == known.name }) else {
        throw .badRequest("the output \"\(output.name)\" is wanted twice")
      }
      found.append(known)
    }
    return found
  }

  // MARK: Inputs

  /// Reads the columns of the model's features.
  ///
  /// - Parameter batch: Any; what it has is replaced, in its own memory where that fits and nobody else holds it.
  /// - Throws: `Problem` that names the input that is missing, unknown, or of another type or shape.
  func read(_ inputs: [Tensor], into batch: inout Batch) throws(Problem) {
    guard let rowCount = inputs.first?.shape.first else {
      throw .badRequest("input \"\(inputs.first?.name ?? "")\" has no rows: its shape is empty")
    }
    if hasMatrix, inputs.count == 1, inputs[0].name == Self.matrixName {
      return try readMatrix(inputs[0], rowCount, into: &batch)
    }
    var columns = [Column?](repeating: nil, count: features.count)
    for input in inputs {
      guard let number = numbers[input.name] else {
        throw .badRequest(
          "the model has no input \"\(input.name)\"",
          hint: "Its inputs: "
            + inputDescriptions.prefix(40).map(\.name).joined(separator: ", ") + ".")
      }
      guard columns[number] == nil else {
        throw .badRequest("input \"\(input.name)\" comes twice")
      }
      guard input.shape.first == rowCount else {
        throw .badRequest(
          "input \"\(input.name)\" has shape \(input.shape), input \"\(inputs[0].name)\" "
            + "\(rowCount) rows")
      }
      columns[number] = try column(input, features[number])
    }
    var complete: [Column] = []
    complete.reserveCapacity(columns.count)
    for (feature, column) in zip(features, columns) {
      if let column {
        complete.append(column)
      } else if feature.isUsed {
        throw .badRequest("input \"\(feature.name)\" is missing")
      } else {
        complete.append(Self.blank(feature, rowCount))
      }
    }
    batch = Batch(rowCount: rowCount, columns: complete)
  }

  private func readMatrix(
    _ input: Tensor, _ rowCount: Int, into batch: inout Batch
  ) throws(Problem) {
    guard input.shape.count == 2, input.shape[1] == features.count else {
      throw .badRequest(
        "input \"\(input.name)\" has shape \(input.shape), the model has \(features.count) "
          + "features: [rows, \(features.count)]")
    }
    let values = try Self.numeric(input)
    if batch.rowCount != rowCount || batch.columns.count != features.count {
      batch = Batch(
        rowCount: rowCount,
        columns: Array(repeating: Column(.float64([])), count: features.count))
    }
    values.part(into: &batch.columns)
  }

  private func column(_ input: Tensor, _ feature: Signature.Feature) throws(Problem) -> Column {
    let inner = Array(input.shape.dropFirst())
    let wanted = feature.shape ?? []
    let fits =
      feature.shape == nil
      ? inner.allSatisfy { $0 == 1 }
      : inner.count == wanted.count
        && zip(wanted, inner).allSatisfy { $0 == $1 || $0 < 0 && $1 > 0 }
    guard fits else {
      throw .badRequest(
        "input \"\(input.name)\" has shape \(input.shape), the model wants \([-1] + wanted)")
    }
    let shape = feature.shape == nil ? [] : inner
    switch (feature.type, input.elements) {
    case (.string, .texts(let values)): return Column(.string(values), shape: shape)
    case (.string, .blobs(let values)):
      var texts: [String] = []
      texts.reserveCapacity(values.count)
      for value in values {
        guard let text = String(validating: value, as: UTF8.self) else {
          throw .badRequest("input \"\(input.name)\" has an element that is not UTF-8")
        }
        texts.append(text)
      }
      return Column(.string(texts), shape: shape)
    case (.bytes, .blobs(let values)): return Column(.bytes(values), shape: shape)
    case (.bytes, .texts(let values)):
      var blobs: [[UInt8]] = []
      for value in values {
        guard let bytes = BytesText.read(value.utf8) else {
          throw .badRequest(
            "input \"\(input.name)\" has an element that is not base64",
            hint: "Send images as binary data, or in base64.")
        }
        blobs.append(bytes)
      }
      return Column(.bytes(blobs), shape: shape)
    case (.bool, .numbers(.bool(let values))): return Column(.bool(values), shape: shape)
    case (.float32, _), (.float64, _), (.int64, _):
      return Column(try Self.numeric(input), shape: shape)
    default:
      throw .badRequest(
        "input \"\(input.name)\" is \(input.type.rawValue), the model wants "
          + TensorType(feature.type).rawValue)
    }
  }

  /// The elements as numbers, which fit any numeric feature.
  private static func numeric(_ input: Tensor) throws(Problem) -> Column.Values {
    switch input.elements {
    case .numbers(.bool(let values)): return .int16(values.map { $0 ? 1 : 0 })
    case .numbers(let values): return values
    case .unsigned(let values):
      guard values.allSatisfy({ $0 <= Int64.max }) else {
        throw .badRequest("input \"\(input.name)\" has a value beyond the range of INT64")
      }
      return .int64(values.map { Int64($0) })
    case .texts, .blobs:
      throw .badRequest("input \"\(input.name)\" is BYTES, the model wants numbers")
    }
  }

  private static func blank(_ feature: Signature.Feature, _ rowCount: Int) -> Column {
    let shape = (feature.shape ?? []).map { max($0, 1) }
    let count = rowCount * shape.reduce(1, *)
    return switch feature.type {
    case .string: Column(.string(Array(repeating: "", count: count)), shape: shape)
    case .bytes: Column(.bytes(Array(repeating: [], count: count)), shape: shape)
    case .bool: Column(.bool(Array(repeating: false, count: count)), shape: shape)
    default: Column(.float64(Array(repeating: 0, count: count)), shape: shape)
    }
  }
}

extension Column.Values {
  /// Parts a matrix, whose rows lie one after the other, into columns, in the memory of what they have where that
  /// fits and is theirs alone.
  fileprivate func part(into columns: inout [Column]) {
    switch self {
    case .int16(let v): Self.part(v, into: &columns, Self.int16) { _ in [] }
    case .int32(let v): Self.part(v, into: &columns, Self.int32) { _ in [] }
    case .int64(let v): Self.part(v, into: &columns, Self.int64) { _ in [] }
    case .float32(let v):
      Self.part(v, into: &columns, Self.float32) {
        if case .float32(let values) = $0 { values } else { [] }
      }
    case .float64(let v):
      Self.part(v, into: &columns, Self.float64) {
        if case .float64(let values) = $0 { values } else { [] }
      }
    case .bool(let v): Self.part(v, into: &columns, Self.bool) { _ in [] }
    case .string(let v): Self.part(v, into: &columns, Self.string) { _ in [] }
    case .bytes(let v): Self.part(v, into: &columns, Self.bytes) { _ in [] }
    }
  }

  @inline(__always)
  private static func part<Value>(
    _ matrix: [Value], into columns: inout [Column], _ make: ([Value]) -> Column.Values,
    _ values: (Column.Values) -> [Value]
  ) {
    columns.withUnsafeMutableBufferPointer { columns in
      let width = columns.count
      let rowCount = matrix.count / max(width, 1)
      matrix.withUnsafeBufferPointer { matrix in
        for index in 0..<width {
          var own = values(columns[index].values)
          guard own.count == rowCount else {
            columns[index].values = make((0..<rowCount).map { matrix[$0 * width + index] })
            continue
          }
          // Else it would be copied to be written to.
          columns[index].values = make([])
          own.withUnsafeMutableBufferPointer { own in
            for row in 0..<rowCount { own[row] = matrix[row * width + index] }
          }
          columns[index].values = make(own)
        }
      }
    }
  }
}

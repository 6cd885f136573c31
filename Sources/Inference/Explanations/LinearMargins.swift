/// The margins of a graph that is one linear model, as sums of what each feature gives.
///
/// A number gives its weight times the value that the linear model sees: after a standard scaler,
/// how far it is from its mean. A category gives the weight of its place. Nothing else is taken apart:
/// not the terms of a text, not features made of several others.
struct LinearMargins: Sendable {
  enum Source: Sendable {
    /// `factor * x + addend` of the number, or of `replacement` where it is missing.
    case number(factor: Double, addend: Double, replacement: Float)
    case category(CategoryTable)
  }

  struct Term: Sendable {
    /// The graph's input, and the element of its rows.
    var input: Int
    var element: Int
    var source: Source
    /// One for each margin; of a category, place by place.
    var weights: [Double]
  }

  var terms: [Term]
  /// One for each margin: what it is where all numbers are as the scaler has them at zero.
  var bases: [Double]
}

extension Graph {
  /// Steps that may follow a linear model and leave its decision as it is.
  private static let followers: Set<String> = [
    "Cast", "Identity", "Normalizer", "Reshape", "Squeeze", "Flatten", "ZipMap",
  ]

  /// The linear model that decides, which margins it has, and the parts of its features; nil where the
  /// graph is something else, or what the features are made of is not known.
  private func linearModel() -> (model: any WeighsRows, columns: [Int], parts: [FeaturePart])? {
    let models = steps.indices.filter { steps[$0].operation is any WeighsRows }
    guard models.count == 1, let index = models.first, let input = steps[index].inputs[0],
      let model = steps[index].operation as? any WeighsRows,
      values[input].shape.rowAxis == 0, values[input].shape.elementCount == model.weights.depth
    else { return nil }
    let links = GraphLinks(self)
    var behind = Set(steps[index].outputs)
    for step in steps[(index + 1)...] {
      guard step.inputs.contains(where: { $0.map(behind.contains) ?? false }) else { continue }
      guard step.operation.isView || Self.followers.contains(step.type) else { return nil }
      behind.formUnion(step.outputs)
    }
    guard outputs.allSatisfy({ behind.contains($0.value) }) else { return nil }

    // Two sums of a classifier with two classes are each other's negative.
    let columns =
      (model as? LinearClassifier)?.classCount == 2
      ? [model.weights.columns - 1] : Array(0..<model.weights.columns)
    guard columns.count == 1 || model is LinearClassifier else { return nil }
    let known = Set(inputs.map(\.value))
    let parts = featureParts(of: input, links)
    for part in parts {
      switch part.source {
      case .numbers(let sources):
        guard sources.allSatisfy({ known.contains($0.value) && values[$0.value].type.isNumber })
        else { return nil }
      case .category(_, let value, _): guard known.contains(value) else { return nil }
      case .text: return nil
      }
    }
    return (model, columns, parts)
  }

  /// Whether the graph has linear margins.
  var hasLinearMargins: Bool { linearModel() != nil }

  /// - Returns: nil where the graph is something else, or is taken apart no further.
  func linearMargins() -> LinearMargins? {
    guard let (model, columns, parts) = linearModel() else { return nil }
    let addends = model.addends ?? Array(repeating: 0, count: model.weights.columns)
    var margins = LinearMargins(terms: [], bases: columns.map { addends[$0] })
    let places = Dictionary(
      uniqueKeysWithValues: inputs.enumerated().map { ($0.element.value, $0.offset) })
    var feature = 0
    for part in parts {
      switch part.source {
      case .numbers(let sources):
        for (k, source) in sources.enumerated() {
          guard let place = places[source.value] else { return nil }
          margins.terms.append(
            LinearMargins.Term(
              input: place, element: source.place.element,
              source: .number(
                factor: part.factor[k], addend: part.addend[k], replacement: source.replacement),
              weights: columns.map { model.weights.weight(feature, $0) }))
          feature += 1
        }
      case .category(let encoder, let value, let place):
        guard let input = places[value] else { return nil }
        var weights: [Double] = []
        for k in 0..<part.width {
          for (index, column) in columns.enumerated() {
            let own = model.weights.weight(feature, column)
            weights.append(part.factor[k] * own)
            margins.bases[index] += part.addend[k] * own
          }
          feature += 1
        }
        margins.terms.append(
          LinearMargins.Term(
            input: input, element: place.element, source: .category(encoder.table),
            weights: weights))
      case .text: return nil
      }
    }
    return margins
  }
}

extension TensorType {
  fileprivate var isNumber: Bool { self != .string && self != .bool }
}

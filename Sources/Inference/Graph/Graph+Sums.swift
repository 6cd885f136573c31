/// A part of a row's features on its way into a linear model, and what was done to it after.
struct FeaturePart {
  enum Source {
    case numbers([NumberSource])
    case category(OneHotEncoder, value: Int, place: ElementPlace)
    case text(TextTerm, value: Int)
  }
  struct NumberSource {
    var value: Int
    var place: ElementPlace
    var replacement: Float
  }

  var source: Source
  /// A feature x of the part came out as factor * x + addend.
  var factor: [Double]
  var addend: [Double]

  init(_ source: Source, width: Int) {
    self.source = source
    factor = Array(repeating: 1, count: width)
    addend = Array(repeating: 0, count: width)
  }

  var width: Int { factor.count }
  var isNumbers: Bool { if case .numbers = source { true } else { false } }
  var isPlain: Bool { factor.allSatisfy { $0 == 1 } && addend.allSatisfy { $0 == 0 } }
}

extension Graph {
  /// A plain matrix is weighed feature by feature for so few sums; for more the blocked product wins.
  private static let mostSumsOfColumns = 4

  /// Gives linear models the parts of their rows: numbers with their imputers and scalers,
  /// categories, texts. The rows are never laid out.
  mutating func fuseSums() {
    let links = GraphLinks(self)
    for (index, step) in steps.enumerated() {
      guard let model = step.operation as? any WeighsRows, let input = step.inputs[0],
        values[input].type == .float32, values[input].constant == nil,
        values[input].shape.rowAxis == 0, values[input].shape.elementCount == model.weights.depth
      else { continue }
      let parts = Self.merged(featureParts(of: input, links))
      if parts.count == 1, case .numbers(let sources) = parts[0].source {
        guard model.weights.columns <= Self.mostSumsOfColumns,
          sources.allSatisfy({ links.maker(of: $0.value) == nil || !values[$0.value].isMatrix })
        else { continue }
      }
      var (inputs, terms) = ([Int](), [any SumTerm]())
      let columns = model.weights.columns
      var weights: [Double] = []
      weights.reserveCapacity(model.weights.depth * columns)
      var addends = model.addends ?? Array(repeating: 0, count: columns)
      var feature = 0
      for part in parts {
        var read: [Int] = []
        for k in 0..<part.width {
          let own = (0..<columns).map { model.weights.weight(feature, $0) }
          for column in 0..<columns where part.addend[k] != 0 {
            addends[column] += part.addend[k] * own[column]
          }
          feature += 1
          // A number that has no weight in any sum is not read.
          if part.isNumbers, own.allSatisfy({ $0 == 0 }) { continue }
          weights += own.map { part.factor[k] * $0 }
          read.append(k)
        }
        terms.append(Self.term(part, reading: read, &inputs))
      }
      replaceStep(
        index,
        with: Step(
          name: step.name,
          operation: RowSums(model, terms, weights: weights, addends: addends),
          inputs: inputs, outputs: step.outputs))
    }
    removeUnread()
  }

  /// Numbers that follow each other become one part.
  private static func merged(_ parts: [FeaturePart]) -> [FeaturePart] {
    var result: [FeaturePart] = []
    for part in parts {
      if case .numbers(let next) = part.source, let last = result.last,
        case .numbers(let before) = last.source
      {
        result[result.count - 1].source = .numbers(before + next)
        result[result.count - 1].factor += part.factor
        result[result.count - 1].addend += part.addend
      } else {
        result.append(part)
      }
    }
    return result
  }

  private static func term(
    _ part: FeaturePart, reading read: [Int], _ inputs: inout [Int]
  ) -> any SumTerm {
    func position(_ value: Int) -> Int {
      if let position = inputs.firstIndex(of: value) { return position }
      inputs.append(value)
      return inputs.count - 1
    }
    switch part.source {
    case .numbers(let sources):
      return NumberTerm(
        read.map { sources[$0] }.map {
          NumberTerm.Element(
            input: position($0.value), place: $0.place, replacement: $0.replacement)
        })
    case .category(let encoder, let value, let place):
      return CategoryTerm(input: position(value), place: place, encoder)
    case .text(var term, let value):
      term.input = position(value)
      return term
    }
  }

  /// The parts that a row's features come from, in order.
  ///
  /// A value that others read too is taken as it is: it is laid out anyway.
  func featureParts(of value: Int, _ links: GraphLinks) -> [FeaturePart] {
    let value = original(of: value, links)
    guard let maker = links.maker(of: value), links.isReadOnce(value),
      values[value].shape.isRowMajor,
      let parts = featureParts(madeBy: steps[maker], value, links)
    else { return [numbers(of: value, links)] }
    return parts
  }

  private func numbers(of value: Int, _ links: GraphLinks) -> FeaturePart {
    let width = values[value].shape.elementCount
    let sources = (0..<width).map { index in
      let (source, place) = element(index, of: value, links)
      return FeaturePart.NumberSource(value: source, place: place, replacement: .nan)
    }
    return FeaturePart(.numbers(sources), width: width)
  }

  /// What a step does to the parts of its input; nil where that cannot be taken apart.
  private func featureParts(
    madeBy step: Step, _ value: Int, _ links: GraphLinks
  ) -> [FeaturePart]? {
    switch step.operation {
    case let encoder as OneHotEncoder: return categories(encoder, step, links)
    case let vectorizer as TextVectorizer:
      guard let source = step.inputs[0] else { return nil }
      let term = TextTerm(terms: vectorizer.terms, input: 0, place: vectorizer.source)
      return [FeaturePart(.text(term, value: source), width: vectorizer.terms.counter.width)]
    case let scaler as Scaler:
      return input(of: step, links).map {
        affine($0, factor: scaler.scale, addend: zip(scaler.offset, scaler.scale).map { -$0 * $1 })
      }
    case let imputer as Imputer: return input(of: step, links).flatMap { impute($0, imputer) }
    case let normalizer as Normalizer:
      return input(of: step, links).flatMap { normalize($0, normalizer) }
    case is Concat: return concatenation(step, value, links)
    default: return arithmetic(step, value, links)
    }
  }

  private func input(of step: Step, _ links: GraphLinks) -> [FeaturePart]? {
    guard let input = step.inputs[0], values[input].constant == nil,
      values[input].type == .float32
    else { return nil }
    return featureParts(of: input, links)
  }

  private func categories(
    _ encoder: OneHotEncoder, _ step: Step, _ links: GraphLinks
  ) -> [FeaturePart]? {
    guard let input = step.inputs[0], values[input].shape.isRowMajor else { return nil }
    return (0..<values[input].shape.elementCount).map { index in
      let (source, place) = element(index, of: input, links)
      return FeaturePart(
        .category(encoder, value: source, place: place), width: encoder.count)
    }
  }

  /// Inputs one after the other in each row, where that is what a concatenation does.
  private func concatenation(
    _ step: Step, _ value: Int, _ links: GraphLinks
  ) -> [FeaturePart]? {
    let dims = values[value].shape.dims
    var parts: [FeaturePart] = []
    for input in step.inputs {
      guard let input, values[input].constant == nil, values[input].shape.isRowMajor,
        values[input].type == .float32
      else { return nil }
      let own = values[input].shape.dims
      // All axes before the one that grows must be of size one.
      guard let axis = dims.indices.first(where: { dims[$0] != own[$0] }) ?? dims.indices.last,
        axis > 0, dims[1..<axis].allSatisfy({ $0 == 1 })
      else { return nil }
      parts += featureParts(of: input, links)
    }
    return parts
  }

  private func affine(
    _ parts: [FeaturePart], factor: [Double], addend: [Double]
  ) -> [FeaturePart] {
    var feature = 0
    return parts.map { part in
      var part = part
      for k in 0..<part.width {
        part.factor[k] *= factor[feature]
        part.addend[k] = part.addend[k] * factor[feature] + addend[feature]
        feature += 1
      }
      return part
    }
  }

  private func impute(_ parts: [FeaturePart], _ imputer: Imputer) -> [FeaturePart]? {
    guard let replacements = imputer.replacementsOfMissing else { return nil }
    var feature = 0
    var result: [FeaturePart] = []
    for part in parts {
      guard case .numbers(var sources) = part.source, part.isPlain else { return nil }
      for k in sources.indices {
        if sources[k].replacement.isNaN { sources[k].replacement = replacements[feature] }
        feature += 1
      }
      result.append(FeaturePart(.numbers(sources), width: part.width))
    }
    return result
  }

  /// A norm over a text's terms alone: what was a factor of each counts in it.
  private func normalize(_ parts: [FeaturePart], _ normalizer: Normalizer) -> [FeaturePart]? {
    guard parts.count == 1, case .text(var term, let value) = parts[0].source, term.norm == nil,
      parts[0].addend.allSatisfy({ $0 == 0 }),
      normalizer.norm != .max || parts[0].factor.allSatisfy({ $0 >= 0 })
    else { return nil }
    term.norm = normalizer.norm
    if !parts[0].isPlain { term.scale = parts[0].factor }
    return [FeaturePart(.text(term, value: value), width: parts[0].width)]
  }

  /// Sums and products with constants, and log(1 + x) of a text's counts.
  private func arithmetic(_ step: Step, _ value: Int, _ links: GraphLinks) -> [FeaturePart]? {
    if step.type == "Log" {
      guard let parts = input(of: step, links), parts.count == 1,
        case .text(var term, let source) = parts[0].source,
        term.norm == nil, term.scale == nil, !term.isLogarithm,
        parts[0].factor.allSatisfy({ $0 == 1 }), parts[0].addend.allSatisfy({ $0 == 1 })
      else { return nil }
      term.isLogarithm = true
      return [FeaturePart(.text(term, value: source), width: parts[0].width)]
    }
    if step.type == "Cast" { return presence(step, links) }
    guard ["Add", "Sub", "Mul", "Div"].contains(step.type), step.inputs.count == 2,
      let left = step.inputs[0], let right = step.inputs[1]
    else { return nil }
    let isLeft = values[right].constant != nil
    let (varying, constant) = isLeft ? (left, right) : (right, left)
    guard values[varying].type == .float32, values[varying].constant == nil,
      let numbers = values[constant].constant?.doubles,
      values[varying].shape == values[value].shape,
      isLeft || step.type == "Add" || step.type == "Mul"
    else { return nil }
    let width = values[value].shape.elementCount
    guard numbers.count == 1 || numbers.count == width && values[constant].shape.dims.last == width
    else { return nil }
    let each = numbers.count == width ? numbers : Array(repeating: numbers[0], count: width)
    let ones = Array(repeating: 1.0, count: width)
    let zeros = Array(repeating: 0.0, count: width)
    let parts = featureParts(of: varying, links)
    switch step.type {
    case "Add": return affine(parts, factor: ones, addend: each)
    case "Sub": return affine(parts, factor: ones, addend: each.map { -$0 })
    case "Mul": return affine(parts, factor: each, addend: zeros)
    default: return affine(parts, factor: each.map { 1 / $0 }, addend: zeros)
    }
  }

  /// Counts that become truth values and numbers again: 1 for each that is there.
  private func presence(_ step: Step, _ links: GraphLinks) -> [FeaturePart]? {
    guard let input = step.inputs[0], values[input].type == .bool, links.isReadOnce(input),
      let maker = links.maker(of: original(of: input, links)), steps[maker].type == "Cast",
      let counts = steps[maker].inputs[0], values[counts].type == .float32
    else { return nil }
    let parts = featureParts(of: counts, links)
    guard parts.count == 1, case .text(var term, let source) = parts[0].source, parts[0].isPlain,
      term.norm == nil, !term.isLogarithm
    else { return nil }
    term.isPresence = true
    return [FeaturePart(.text(term, value: source), width: parts[0].width)]
  }
}

extension ValueInfo {
  /// True where a row has more than one element, so that rows lie apart.
  fileprivate var isMatrix: Bool { shape.elementCount > 1 }
}

internal import CKernels

/// A linear model that can be given the weighted sums of its rows, however they were found.
protocol WeighsRows: Operator {
  var weights: Panels { get }
  /// Added to the sums; nil for none.
  var addends: [Double]? { get }
  /// Where a run's sums go: `weights.columns` of each row.
  func sums(_ call: Call) -> UnsafeMutablePointer<Float>
  /// What the operator does with the sums.
  func finish(_ call: Call)
  /// The same operator, which no longer needs its weights.
  var withoutWeights: any WeighsRows { get }
}

/// A part of a row's features that is added to weighted sums without being laid out.
protocol SumTerm: Sendable {
  /// Features of the part.
  var width: Int { get }
  /// Adds the part of each row: `sums[row * columns + c] += feature k * weights[k * columns + c]`,
  /// by increasing k.
  func add(
    _ call: Call, weights: UnsafePointer<Double>, columns: Int,
    to sums: UnsafeMutablePointer<Double>)
  /// What of an input may be missing, as `Operator` has it.
  func mayBeMissing(input: Int, count: Int) -> [Bool]
  /// The elements of an input's row that are read.
  func readElements(input: Int) -> [Int]
  /// The same term, with an input laid out feature by feature.
  func readingColumns(input: Int) -> any SumTerm
}

/// A linear model over parts of rows: numbers, categories and texts, none of them laid out.
///
/// Scalers are in the weights, and a category or a term of a text adds the weights that it has.
/// Sums are kept in double, in the order of the features.
struct RowSums: ReadsColumns {
  let outputs: [ValueInfo]
  private let model: any WeighsRows
  private var terms: [any SumTerm]
  /// `columns` weights of each feature.
  private let weights: TensorBuffer
  private let addends: [Double]
  private let columns: Int

  /// - Parameter weights: `columns` numbers of each feature of the terms.
  init(_ model: any WeighsRows, _ terms: [any SumTerm], weights: [Double], addends: [Double]) {
    self.model = model.withoutWeights
    self.terms = terms
    self.addends = addends
    columns = addends.count
    outputs = model.outputs
    self.weights = TensorBuffer(.float64, capacity: weights.count)
    self.weights.base.assumingMemoryBound(to: Double.self).update(
      from: weights, count: weights.count)
  }

  private func sumsByteCount(rows: Int) -> Int { (rows * columns * 8 + 63) & ~63 }

  func scratchByteCount(rows: Int) -> Int {
    sumsByteCount(rows: rows) + model.scratchByteCount(rows: rows)
  }

  func run(_ call: Call) {
    let rows = call.rowCount
    let sums = call.scratch.assumingMemoryBound(to: Double.self)
    sums.update(repeating: 0, count: rows * columns)
    var own = UnsafePointer(weights.base.assumingMemoryBound(to: Double.self))
    terms.withUnsafeBufferPointer { terms in
      for index in terms.indices {
        terms[index].add(call, weights: own, columns: columns, to: sums)
        own += terms[index].width * columns
      }
    }
    let inner = Call(
      rowCount: rows, inputs: call.inputs, outputs: call.outputs,
      scratch: call.scratch + sumsByteCount(rows: rows), failures: call.failures)
    let target = model.sums(inner)
    addends.withUnsafeBufferPointer { addends in
      for row in 0..<rows {
        for column in 0..<columns {
          let at = row * columns + column
          target[at] = Float(sums[at] + addends[column])
        }
      }
    }
    model.finish(inner)
  }

  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    var result = Array(repeating: true, count: count)
    for term in terms {
      for (element, mayBe) in term.mayBeMissing(input: input, count: count).enumerated()
      where !mayBe { result[element] = false }
    }
    return result
  }

  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    var result = Array(repeating: false, count: count)
    for term in terms {
      for element in term.readElements(input: input) { result[element] = true }
    }
    return result
  }

  func readingColumns(input: Int) -> any Operator {
    var turned = self
    turned.terms = terms.map { $0.readingColumns(input: input) }
    return turned
  }
}

/// Numbers as they are, or with a value in place of one that is missing.
struct NumberTerm: SumTerm {
  struct Element: Sendable {
    var input: Int
    var place: ElementPlace
    /// What counts where the number is missing; NaN where it may not be.
    var replacement: Float
  }

  private var elements: [Element]
  private let replacements: [Float]

  init(_ elements: [Element]) {
    self.elements = elements
    replacements = elements.map(\.replacement)
  }

  var width: Int { elements.count }

  func add(
    _ call: Call, weights: UnsafePointer<Double>, columns: Int,
    to sums: UnsafeMutablePointer<Double>
  ) {
    let count = elements.count
    withUnsafeTemporaryAllocation(byteCount: count * 16, alignment: 16) { space in
      guard let space = space.baseAddress else { return }
      let pointers = space.assumingMemoryBound(to: UnsafePointer<Float>?.self)
      let steps = (space + count * 8).assumingMemoryBound(to: Int.self)
      call.inputs.withUnsafeBufferPointer { inputs in
        elements.withUnsafeBufferPointer { elements in
          for index in 0..<count {
            let span = elements[index].place.span(rows: call.rowCount)
            guard let base = inputs[elements[index].input]?.base else { continue }
            pointers[index] = UnsafePointer(base.assumingMemoryBound(to: Float.self)) + span.start
            steps[index] = span.step
          }
        }
      }
      ck_weigh_columns_f32(
        pointers, steps, replacements, count, call.rowCount, weights, columns, sums)
    }
  }

  func mayBeMissing(input: Int, count: Int) -> [Bool] {
    var result = Array(repeating: true, count: count)
    for element in elements where element.input == input && element.replacement.isNaN {
      result[element.place.element] = false
    }
    return result
  }

  func readElements(input: Int) -> [Int] {
    elements.filter { $0.input == input }.map(\.place.element)
  }

  func readingColumns(input: Int) -> any SumTerm {
    var turned = self
    for index in elements.indices where elements[index].input == input {
      turned.elements[index].place.isColumn = true
    }
    return turned
  }
}

/// A category: the weights of its place, or none where it is not in the list.
struct CategoryTerm: SumTerm {
  private let input: Int
  private var place: ElementPlace
  private let encoder: OneHotEncoder
  private let table: CategoryTable

  init(input: Int, place: ElementPlace, _ encoder: OneHotEncoder) {
    (self.input, self.place, self.encoder) = (input, place, encoder)
    table = encoder.table
  }

  var width: Int { encoder.count }

  func add(
    _ call: Call, weights: UnsafePointer<Double>, columns: Int,
    to sums: UnsafeMutablePointer<Double>
  ) {
    let view = call.input(input)
    let (start, step) = place.span(rows: call.rowCount)
    table.forEachPlace(in: view, start: start, step: step, rows: call.rowCount) { row, category in
      guard category >= 0 else { return encoder.reportUnseen(call, row: row) }
      let own = weights + category * columns
      for column in 0..<columns { sums[row * columns + column] += own[column] }
    }
  }

  func mayBeMissing(input: Int, count: Int) -> [Bool] {
    var result = Array(repeating: true, count: count)
    if input == self.input { result[place.element] = false }
    return result
  }

  func readElements(input: Int) -> [Int] { input == self.input ? [place.element] : [] }

  func readingColumns(input: Int) -> any SumTerm {
    var turned = self
    if input == self.input { turned.place.isColumn = true }
    return turned
  }
}

/// The terms of a text, of tens of thousands the few that are there.
struct TextTerm: SumTerm {
  let terms: TextTerms
  var input: Int
  var place: ElementPlace
  /// 1 in place of any count.
  var isPresence = false
  /// log(1 + x) in place of x, before it is scaled.
  var isLogarithm = false
  /// A factor for each column, before the norm.
  var scale: [Double]?
  var norm: Normalizer.Norm?

  var width: Int { terms.counter.width }

  func add(
    _ call: Call, weights: UnsafePointer<Double>, columns: Int,
    to sums: UnsafeMutablePointer<Double>
  ) {
    let row = TermRow()
    var memory = TextCutter.Memory(terms.cutter)
    let texts = call.input(input).strings
    let (start, step) = place.span(rows: call.rowCount)
    for index in 0..<call.rowCount {
      terms.find(in: texts[start + index * step], row, &memory, index, call)
      weigh(row)
      ck_weigh_sparse(
        row.places, row.values, row.termCount, weights, columns, sums + index * columns)
    }
  }

  private func weigh(_ row: TermRow) {
    let values = UnsafeMutableBufferPointer(start: row.values, count: row.termCount)
    if isPresence { for i in values.indices { values[i] = 1 } }
    if isLogarithm { for i in values.indices { values[i] = ck_log(1 + values[i]) } }
    scale?.withUnsafeBufferPointer { scale in
      for i in values.indices { values[i] *= scale[Int(row.places[i])] }
    }
    guard let norm else { return }
    var size = 0.0
    switch norm {
    // Most of the columns are zero, so that the greatest is not below.
    case .max: for value in values { size = Swift.max(size, value) }
    case .l1: for value in values { size += abs(value) }
    case .l2:
      for value in values { size += value * value }
      size = size.squareRoot()
    }
    guard size != 0 else { return }
    for i in values.indices { values[i] /= size }
  }

  func mayBeMissing(input: Int, count: Int) -> [Bool] { Array(repeating: true, count: count) }

  func readElements(input: Int) -> [Int] { input == self.input ? [place.element] : [] }

  func readingColumns(input: Int) -> any SumTerm {
    var turned = self
    if input == self.input { turned.place.isColumn = true }
    return turned
  }
}

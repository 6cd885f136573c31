/// Answers, beside a prediction, the features that contribute most to its margin, by magnitude; of
/// several classes, to that of the predicted one.
///
/// Features of equal magnitude come in the order of the model's. A row has no reason where no feature
/// is left that contributes anything.
struct ReasonPredictor: Predictor {
  let predictor: any Predictor
  let explainer: any Explainer
  /// Of the model's features.
  let names: [String]
  let count: Int
  let choice: Choice

  /// Which of the margins a row's reasons are of.
  enum Choice: Sendable {
    case only
    /// That of the class whose column has the largest number.
    case column(Range<Int>)
    case largestMargin
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    var predictions = try predictor.predict(batch, workspace: workspace)
    var classes: [Int]?
    if case .column(let columns) = choice {
      classes = Self.largest(predictions.columns[columns], rows: batch.rowCount)
    }
    var reasons = Reasons(count: count, rows: batch.rowCount)
    let names = explainer.features.map { self.names[$0] }
    var best: [Reasons.Entry] = []
    best.reserveCapacity(count + 1)
    explainer.blocks(batch, workspace) { rows, contributions in
      for row in rows {
        best.removeAll(keepingCapacity: true)
        let at = row - rows.lowerBound
        let margin =
          if case .largestMargin = choice { largestMargin(contributions + at) } else {
            classes?[row] ?? 0
          }
        let first = margin * names.count * explainer.blockRows + at
        for place in names.indices {
          let value = contributions[first + place * explainer.blockRows]
          Reasons.insert(Reasons.Entry(place: place, value: value), into: &best, count: count)
        }
        reasons.put(best, row: row, names: names)
      }
    }
    predictions.columns += reasons.columns
    return predictions
  }

  /// The first of a row's largest margins.
  private func largestMargin(_ contributions: UnsafePointer<Double>) -> Int {
    let places = explainer.features.count
    var best = (margin: 0, value: -Double.infinity)
    for margin in 0..<explainer.outputCount {
      var sum = explainer.bases[margin]
      for place in 0..<places {
        sum += contributions[(margin * places + place) * explainer.blockRows]
      }
      if sum > best.value { best = (margin, sum) }
    }
    return best.margin
  }

  /// The first of the columns that has the row's largest number.
  private static func largest(_ columns: ArraySlice<Column>, rows: Int) -> [Int] {
    var best = [Int](repeating: 0, count: rows)
    func choose<Value: Comparable>(_ columns: [[Value]]) {
      for index in columns.indices.dropFirst() {
        for row in 0..<rows where columns[index][row] > columns[best[row]][row] {
          best[row] = index
        }
      }
    }
    let floats = columns.compactMap { column -> [Float]? in
      if case .float32(let values) = column.values { values } else { nil }
    }
    let doubles = columns.compactMap { column -> [Double]? in
      if case .float64(let values) = column.values { values } else { nil }
    }
    if floats.count == columns.count { choose(floats) } else { choose(doubles) }
    return best
  }
}

/// The reasons of a batch, rank by rank.
private struct Reasons {
  struct Entry {
    var place: Int
    var value: Double
  }

  private var names: [[String]]
  private var values: [[Double]]
  private var nulls: [[UInt64]]
  private var isShort: [Bool]

  init(count: Int, rows: Int) {
    names = Array(repeating: Array(repeating: "", count: rows), count: count)
    values = Array(repeating: Array(repeating: 0, count: rows), count: count)
    nulls = Array(repeating: Array(repeating: 0, count: (rows + 63) / 64), count: count)
    isShort = Array(repeating: false, count: count)
  }

  /// Keeps the entries of largest magnitude, largest first.
  @inline(__always)
  static func insert(_ entry: Entry, into best: inout [Entry], count: Int) {
    let size = entry.value.magnitude
    guard size > 0 else { return }
    if best.count == count {
      guard let last = best.last, size > last.value.magnitude else { return }
      best.removeLast()
    }
    var index = best.count
    while index > 0, best[index - 1].value.magnitude < size { index -= 1 }
    best.insert(entry, at: index)
  }

  mutating func put(_ best: [Entry], row: Int, names known: [String]) {
    for (rank, entry) in best.enumerated() {
      names[rank][row] = known[entry.place]
      values[rank][row] = entry.value
    }
    for rank in best.count..<names.count {
      nulls[rank][row >> 6] |= 1 << UInt64(row & 63)
      isShort[rank] = true
    }
  }

  var columns: [Column] {
    names.indices.flatMap { rank in
      let missing = isShort[rank] ? nulls[rank] : nil
      return [
        Column(.string(names[rank]), nulls: missing),
        Column(.float64(values[rank]), nulls: missing),
      ]
    }
  }
}

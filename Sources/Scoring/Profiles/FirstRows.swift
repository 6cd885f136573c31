internal import Inference

/// The first rows of a scorer that has no reference rows, until there are enough to be these.
struct FirstRows: Sendable {
  /// A column's values: NaN, or nil, where there is none.
  enum Values: Sendable {
    case numbers([Double])
    case texts([String?])

    var count: Int {
      switch self {
      case .numbers(let v): v.count
      case .texts(let v): v.count
      }
    }
  }

  /// Rows that make reference rows.
  static let enough = 1000
  /// Rows that are kept at most.
  static let most = 2000

  private(set) var rowCount = 0
  private(set) var columns: [ProfiledColumn: Values] = [:]

  /// - Parameter vectors: Places of outputs of which nothing is counted.
  mutating func add(_ rows: ChunkRows, _ result: ChunkResult, without vectors: Set<Int>) {
    let room = Self.most - rowCount
    guard room > 0, rows.count > 0 else { return }
    // Evenly over the chunk: its rows are in the order of the key.
    let step = max(1, (rows.count + room - 1) / room)
    let taken = Array(stride(from: 0, to: rows.count, by: step))
    rowCount += taken.count
    for index in rows.features.indices where rows.reads[index] {
      add(rows.features[index], taken, to: ProfiledColumn(kind: .input, index: index))
    }
    let failed = Set(result.failures.map(\.row))
    let scored = failed.isEmpty ? taken : taken.filter { !failed.contains($0) }
    for index in result.outputs.indices where !vectors.contains(index) {
      add(result.outputs[index], scored, to: ProfiledColumn(kind: .output, index: index))
    }
  }

  private mutating func add(_ column: Column, _ rows: [Int], to place: ProfiledColumn) {
    if case .string(let texts) = column.values {
      var values: [String?] = []
      if case .texts(let known)? = columns[place] { values = known }
      for row in rows { values.append(column.isNull(row) ? nil : texts[row]) }
      columns[place] = .texts(values)
      return
    }
    var values: [Double] = []
    if case .numbers(let known)? = columns[place] { values = known }
    for row in rows { values.append(column.isNull(row) ? .nan : column.measure(row)) }
    columns[place] = .numbers(values)
  }
}

extension Column {
  /// What is counted of a row: its number, or the size of an image; NaN of a text.
  func measure(_ row: Int) -> Double {
    if case .bytes(let images) = values { return Double(images[row].count) }
    return number(row) ?? .nan
  }
}

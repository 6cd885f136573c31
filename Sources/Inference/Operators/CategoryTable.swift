internal import CKernels

/// Finds the place of a category among those of a OneHotEncoder.
struct CategoryTable: Sendable {
  private enum Categories: Sendable {
    case texts(TextTable, count: Int)
    case numbers([Int64: Int])
  }
  private let categories: Categories

  /// Of equal categories the last counts, as in a map that is filled in order.
  init(texts: [String]) throws(ModelError) {
    // The table keeps the first of equal texts.
    categories = .texts(try TextTable(texts.reversed()), count: texts.count)
  }

  init(numbers: [Int64]) {
    categories = .numbers(Dictionary(zip(numbers, 0...), uniquingKeysWith: { $1 }))
  }

  /// Calls `body` with each row and the place of its element's category; -1 where it is none of them.
  ///
  /// - Parameter step: How far a row's element is from that of the row before.
  @inline(__always)
  func forEachPlace(
    in view: TensorView, start: Int, step: Int, rows: Int, _ body: (Int, Int) -> Void
  ) {
    guard case .texts(let table, let count) = categories else {
      for row in 0..<rows { body(row, place(of: view, at: start + row * step) ?? -1) }
      return
    }
    let texts = view.strings + start
    let handle = table.handle
    withExtendedLifetime(table) {
      for row in 0..<rows {
        let place = texts[row * step].withBytes { bytes in
          guard let base = bytes.baseAddress else { return table.find(bytes) ?? -1 }
          return Int(ck_dictionary_find(handle, base, bytes.count))
        }
        body(row, place < 0 ? -1 : count - 1 - place)
      }
    }
  }

  /// The place of an element's category; nil where it is none of them.
  @inline(__always)
  func place(of view: TensorView, at index: Int) -> Int? {
    switch categories {
    case .texts(let table, let count): table.find(view.strings[index]).map { count - 1 - $0 }
    case .numbers(let places):
      switch view.type {
      case .float32: Self.whole(Double(view.floats[index])).flatMap { places[$0] }
      case .int64: places[view.int64s[index]]
      default: Self.whole(view.double(index)).flatMap { places[$0] }
      }
    }
  }

  func place(_ text: String) -> Int? {
    guard case .texts(let table, let count) = categories else { return nil }
    return table.find(text).map { count - 1 - $0 }
  }

  func place(_ number: Int64) -> Int? {
    guard case .numbers(let places) = categories else { return nil }
    return places[number]
  }

  /// The number without its fraction, as a C cast has it; nil where there is none.
  private static func whole(_ value: Double) -> Int64? {
    Int64(exactly: value.rounded(.towardZero))
  }
}

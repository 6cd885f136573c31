/// An operator's input as rows of features: `[rows, width]`, `[rows]` as one feature each, or, where
/// it is a constant, `[count, width]` or one row of `[width]`.
struct FeatureRows: Sendable {
  /// Features of a row.
  let width: Int
  /// Rows: of a constant their number, else how many each row of the batch brings.
  private let lead: Int
  let isBatched: Bool

  /// - Throws: `.malformed` where the rows are not the first axis, or the rank is over two.
  init(_ node: Node, _ info: ValueInfo) throws(ModelError) {
    let shape = info.shape
    isBatched = shape.isBatched
    guard shape.rank == 2 || shape.rank == 1, shape.rowAxis ?? 0 == 0 else {
      throw node.error(.malformed, "input of shape \(shape) is not [rows, features]")
    }
    if shape.rank == 2 {
      (lead, width) = (shape.dims[0], shape.dims[1])
    } else {
      (lead, width) = isBatched ? (shape.dims[0], 1) : (1, shape.dims[0])
    }
  }

  /// One value a row.
  var single: Shape { Shape([lead], rowAxis: isBatched ? 0 : nil) }

  /// `count` values a row.
  func wide(_ count: Int) -> Shape { Shape([lead, count], rowAxis: isBatched ? 0 : nil) }

  /// The rows that a call is about.
  func count(_ call: Call) -> Int { isBatched ? lead * call.rowCount : lead }

  /// The most rows that a call over so many rows of the batch is about.
  func count(rows: Int) -> Int { isBatched ? lead * rows : lead }

  /// The row of the batch that a row belongs to.
  func batchRow(_ row: Int) -> Int { isBatched ? row / max(lead, 1) : 0 }
}

extension Node {
  /// The size of a value's last axis, along which features lie; 1 where that axis is the rows.
  func lastWidth(_ info: ValueInfo) -> Int {
    guard let last = info.shape.dims.last, info.shape.rowAxis != info.shape.rank - 1 else {
      return 1
    }
    return last
  }
}

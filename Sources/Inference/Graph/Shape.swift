/// The size of one axis, or of an element of a shape that the graph computes.
enum Extent: Sendable, Equatable {
  case fixed(Int)
  /// So many for each row of the batch.
  case rows(Int)
}

/// A value's dimensions, with the number of rows still open.
///
/// At most one axis grows with the rows of the batch; there `dims` holds what one row adds to
/// it. So `[rows, 4]` has dims `[1, 4]` and row axis 0.
struct Shape: Sendable, Equatable {
  let dims: [Int]
  let rowAxis: Int?

  init(_ dims: [Int], rowAxis: Int? = nil) {
    (self.dims, self.rowAxis) = (dims, rowAxis)
  }

  /// A shape of `width` values a row: `[rows, width]`.
  static func rows(_ width: Int) -> Shape { Shape([1, width], rowAxis: 0) }
  /// A shape of one value a row: `[rows]`.
  static let rows = Shape([1], rowAxis: 0)

  var rank: Int { dims.count }

  /// Elements in all, or for each row where there is a row axis.
  var elementCount: Int { dims.reduce(1, *) }

  /// Elements that one row adds.
  var isBatched: Bool { rowAxis != nil }

  /// True for `[rows]`, `[rows, 1]`, `[rows, 4]`, ...: row by row in memory.
  var isRowMajor: Bool {
    guard let rowAxis else { return false }
    return dims[..<rowAxis].allSatisfy { $0 == 1 }
  }

  func dims(rows: Int) -> [Int] {
    guard let rowAxis else { return dims }
    var result = dims
    result[rowAxis] *= rows
    return result
  }

  func elementCount(rows: Int) -> Int {
    isBatched ? elementCount * rows : elementCount
  }

  subscript(axis: Int) -> Extent {
    axis == rowAxis ? .rows(dims[axis]) : .fixed(dims[axis])
  }

  var extents: [Extent] { dims.indices.map { self[$0] } }
}

extension Shape: CustomStringConvertible {
  /// As `[rows, 4]`.
  var description: String {
    let parts = extents.map { extent in
      switch extent {
      case .fixed(let size): "\(size)"
      case .rows(1): "rows"
      case .rows(let each): "\(each)*rows"
      }
    }
    return "[\(parts.joined(separator: ", "))]"
  }
}

/// What is known of a value before any row is there.
struct ValueInfo: Sendable {
  var type: TensorType
  var shape: Shape
  /// The value itself, where no input of the graph can change it.
  var constant: Tensor?
  /// The value of an integer vector that depends on nothing but the number of rows.
  var extents: [Extent]?
  /// True where the last axis has a length of its own in each row; it then counts as 1.
  ///
  /// Such a value is never laid out: see `Graph.fuseText`.
  var isRagged = false

  init(_ type: TensorType, _ shape: Shape, constant: Tensor? = nil, extents: [Extent]? = nil) {
    (self.type, self.shape, self.constant, self.extents) = (type, shape, constant, extents)
  }

  init(constant: Tensor) {
    self.init(constant.type, Shape(constant.dims), constant: constant)
  }

  /// The value for a number of rows, where it depends on nothing else.
  func tensor(rows: Int) -> Tensor? {
    guard let extents else { return nil }
    let sizes = extents.map { extent in
      switch extent {
      case .fixed(let size): size
      case .rows(let each): each &* rows
      }
    }
    return type == .int64
      ? Tensor(sizes.map(Int64.init), dims: shape.dims)
      : Tensor(sizes.map { Int32(truncatingIfNeeded: $0) }, dims: shape.dims)
  }

  /// The elements of an integer vector, as far as they are known without rows.
  var knownExtents: [Extent]? {
    extents ?? constant?.integers?.map(Extent.fixed)
  }
}

extension ModelLimits {
  /// The product of sizes; nil where it, or the product of some of them, is over the limit.
  ///
  /// So a size of 0 hides no others, and whoever multiplies some of the sizes never overflows.
  static func elementCount(_ dims: [Int], limit: Int) -> Int? {
    var product = 1
    for size in dims {
      let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
      guard !overflow, next <= limit else { return nil }
      product = next
    }
    return dims.contains(0) ? 0 : product
  }
}

internal import Inference
internal import Postgres

/// Four features in one value: a server makes a message of its own for each value that it sends, which
/// costs it more than to join four numbers into a value of the type `lseg`.
///
/// Of 28 features a row costs the server a fifth less. A value of which one number is NULL is NULL as a
/// whole, so rows that have NULLs must be read without it.
struct FloatPacking {
  private enum Item {
    case one(Int)
    /// The first of four.
    case four(Int)
  }

  /// Of the features that are read.
  private let types: [OID]
  private let items: [Item]

  /// - Parameter isOn: False where each feature is to be a value.
  init(_ types: [OID], isOn: Bool) {
    self.types = types
    var items: [Item] = []
    var next = 0
    while next < types.count {
      let isFour =
        isOn && next + 4 <= types.count
        && types[next..<next + 4].allSatisfy { $0 == .float4 || $0 == .float8 }
      items.append(isFour ? .four(next) : .one(next))
      next += isFour ? 4 : 1
    }
    self.items = items
  }

  /// What is read in place of the features.
  func expressions(_ features: [String]) -> [String] {
    items.map {
      switch $0 {
      case .one(let index): features[index]
      case .four(let first):
        "pg_catalog.lseg(pg_catalog.point(\(features[first]), \(features[first + 1])), "
          + "pg_catalog.point(\(features[first + 2]), \(features[first + 3])))"
      }
    }
  }

  var columnTypes: [OID] {
    items.map {
      switch $0 {
      case .one(let index): types[index]
      case .four: .lseg
      }
    }
  }

  /// The features again, exactly; nil where one of four was NULL.
  func features(_ rows: CopiedRows, from first: Int) -> [ColumnVector]? {
    var features: [ColumnVector] = []
    features.reserveCapacity(types.count)
    for index in items.indices {
      switch rows.columns[first + index] {
      case .values(let vector): features.append(vector)
      case .quads(let quads):
        for numbers in quads {
          features.append(
            ColumnVector(
              types[features.count] == .float4
                ? .float32(numbers.map { Float($0) }) : .float64(numbers)))
        }
      case .raw, .someQuads: return nil
      }
    }
    return features
  }
}

/// The values of a forest's leaves as kernels read them, and where each leaf's are.
///
/// Leaves lie by their numbers (`LeafNumbers`) in each tree. Leaves that hold a value for every
/// output are filled up to whole fours; where they are many, equal ones are kept once, since deep
/// trees of a classifier have few different ones.
struct LeafValues {
  enum Table: Sendable {
    case float(KernelTable<Float>)
    case double(KernelTable<Double>)

    var base: UnsafeRawPointer {
      switch self {
      case .float(let table): UnsafeRawPointer(table.base)
      case .double(let table): UnsafeRawPointer(table.base)
      }
    }

    var byteCount: Int {
      switch self {
      case .float(let table): table.byteCount
      case .double(let table): table.byteCount
      }
    }
  }

  let table: Table
  /// Sums of a row, of which `outputCount` are outputs.
  let sumStride: Int
  /// The first value of a tree's leaf 0; void where `isShared`.
  private(set) var firstOfTree: [UInt32] = []
  /// For each node of the forest the index of its first value; 0 at splits.
  private(set) var ofNode: [UInt32]
  /// Whether equal leaves share their values.
  let isShared: Bool

  init(_ forest: Forest, precision: ForestPlan.Precision) {
    let hasVectors = forest.trees.contains { forest.sum(of: $0) < 0 }
    sumStride = hasVectors ? (forest.outputCount + 3) / 4 * 4 : forest.outputCount
    isShared = hasVectors && forest.trees.contains { $0.end - $0.root > 2 * 256 - 1 }
    ofNode = [UInt32](repeating: 0, count: forest.features.count)
    var values: [Double] = []
    values.reserveCapacity(isShared ? 0 : forest.values.count)
    var numbers = LeafNumbers()
    var known: [[Double]: UInt32] = [:]
    for tree in forest.trees {
      let width = forest.sum(of: tree) < 0 ? sumStride : 1
      let base = values.count
      firstOfTree.append(UInt32(base))
      if isShared {
        for node in tree.root..<tree.end where forest.features[node] < 0 {
          let first = Int(forest.children[node])
          let own = Array(
            forest.values[first..<(first + (width == 1 ? 1 : forest.outputCount))])
          if let place = known[own] {
            ofNode[node] = place
            continue
          }
          let place = UInt32(values.count)
          known[own] = place
          ofNode[node] = place
          values.append(contentsOf: own)
          values.append(contentsOf: repeatElement(0, count: width - own.count))
        }
        continue
      }
      numbers.number(forest, tree)
      let leaves = (tree.end - tree.root + 1) / 2
      values.append(contentsOf: repeatElement(0, count: leaves * width))
      for node in tree.root..<tree.end where forest.features[node] < 0 {
        let place = base + Int(numbers.first[node - tree.root]) * width
        ofNode[node] = UInt32(place)
        let first = Int(forest.children[node])
        for k in 0..<(width == 1 ? 1 : forest.outputCount) {
          values[place + k] = forest.values[first + k]
        }
      }
    }
    table =
      precision == .float
      ? .float(KernelTable(values.map { Float($0) })) : .double(KernelTable(values))
  }
}

extension Forest {
  /// The kernels' number of what a tree's leaves add to: an output, or negative for all of them.
  func sum(of tree: Tree) -> Int32 {
    switch tree.output {
    case .one(let index): Int32(index)
    case .all: outputCount == 1 ? 0 : -1
    }
  }
}

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
  let firstOfTree: [UInt32]
  /// For each node of the forest the index of its first value; 0 at splits.
  let ofNode: [UInt32]
  /// Whether equal leaves share their values.
  let isShared: Bool

  init(_ forest: Forest, precision: ForestPlan.Precision) {
    let hasVectors = forest.trees.contains { forest.sum(of: $0) < 0 }
    sumStride = hasVectors ? (forest.outputCount + 3) / 4 * 4 : forest.outputCount
    isShared = hasVectors && forest.trees.contains { $0.end - $0.root > 2 * 256 - 1 }
    let values: [Double]
    if isShared {
      (values, ofNode) = Self.shared(forest, stride: sumStride)
      firstOfTree = Array(repeating: 0, count: forest.trees.count)
    } else {
      (values, firstOfTree, ofNode) = Self.inOrder(forest, stride: sumStride)
    }
    table =
      precision == .float
      ? .float(KernelTable(values.map { Float($0) })) : .double(KernelTable(values))
  }

  /// Equal leaves once.
  private static func shared(
    _ forest: Forest, stride: Int
  ) -> (values: [Double], ofNode: [UInt32]) {
    var ofNode = [UInt32](repeating: 0, count: forest.features.count)
    let most = 8  // Parts find much the same vectors, which are then joined by one thread.
    let ranges = Concurrently.ranges(
      forest.trees.count, least: max((forest.trees.count + most - 1) / most, 1))
    var known = LeafVectors()
    ofNode.withUnsafeMutableBufferPointer { ofNode in
      // Each tree has places of its own.
      nonisolated(unsafe) let ofNode = ofNode
      let parts = Concurrently.map(ranges.count) { part in
        var known = LeafVectors()
        for tree in forest.trees[ranges[part]] {
          let isVector = forest.sum(of: tree) < 0
          let (count, width) = isVector ? (forest.outputCount, stride) : (1, 1)
          for node in tree.root..<tree.end where forest.features[node] < 0 {
            let first = Int(forest.children[node])
            ofNode[node] = UInt32(
              known.number(of: forest.values[first..<(first + count)], width: width))
          }
        }
        return known
      }
      let places = parts.map { part in
        (0..<part.count).map {
          let number = known.number(of: part.vector($0), width: part.width($0))
          return known.place(number)
        }
      }
      _ = Concurrently.map(ranges.count) { part in
        for tree in forest.trees[ranges[part]] {
          for node in tree.root..<tree.end where forest.features[node] < 0 {
            ofNode[node] = places[part][Int(ofNode[node])]
          }
        }
      }
    }
    return (known.values, ofNode)
  }

  /// Leaves by their numbers, tree by tree.
  private static func inOrder(
    _ forest: Forest, stride: Int
  ) -> (values: [Double], firstOfTree: [UInt32], ofNode: [UInt32]) {
    var count = 0
    let firstOfTree = forest.trees.map { tree in
      defer {
        count += (tree.end - tree.root + 1) / 2 * (forest.sum(of: tree) < 0 ? stride : 1)
      }
      return UInt32(count)
    }
    var values = [Double](repeating: 0, count: count)
    var ofNode = [UInt32](repeating: 0, count: forest.features.count)
    let ranges = Concurrently.ranges(forest.trees.count, least: 8)
    values.withUnsafeMutableBufferPointer { values in
      ofNode.withUnsafeMutableBufferPointer { ofNode in
        // Each tree has places of its own.
        nonisolated(unsafe) let (values, ofNode) = (values, ofNode)
        _ = Concurrently.map(ranges.count) { part in
          var numbers = LeafNumbers()
          let (features, children, known) = (forest.features, forest.children, forest.values)
          for index in ranges[part] {
            let tree = forest.trees[index]
            let isVector = forest.sum(of: tree) < 0
            let (count, width) = isVector ? (forest.outputCount, stride) : (1, 1)
            numbers.number(forest, tree)
            for node in tree.root..<tree.end where features[node] < 0 {
              let place =
                Int(firstOfTree[index]) + Int(numbers.first[node - tree.root]) * width
              ofNode[node] = UInt32(place)
              let first = Int(children[node])
              for k in 0..<count { values[place + k] = known[first + k] }
            }
          }
        }
      }
    }
    return (values, firstOfTree, ofNode)
  }
}

/// Distinct vectors of leaf values, numbered by a hash table.
private struct LeafVectors {
  private(set) var values: [Double] = []
  private var starts: [(first: UInt32, count: Int32, width: Int32)] = []
  private var hashes: [UInt64] = []
  private var slots = [Int32](repeating: -1, count: 1 << 10)

  var count: Int { hashes.count }

  func place(_ number: Int) -> UInt32 { starts[number].first }

  func vector(_ number: Int) -> ArraySlice<Double> {
    let first = Int(starts[number].first)
    return values[first..<(first + Int(starts[number].count))]
  }

  func width(_ number: Int) -> Int { Int(starts[number].width) }

  /// The number of equal values, or of these from now on, filled up to `width`.
  mutating func number(of vector: ArraySlice<Double>, width: Int) -> Int {
    if hashes.count * 2 >= slots.count { grow() }
    var hash: UInt64 = UInt64(vector.count)
    for value in vector {
      // Zeros of both signs are equal.
      hash = (hash ^ (value == 0 ? 0 : value.bitPattern)) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash >> 20) & mask
    while slots[slot] >= 0 {
      let known = Int(slots[slot])
      if hashes[known] == hash, isEqual(known, vector) { return known }
      slot = (slot + 1) & mask
    }
    let number = hashes.count
    slots[slot] = Int32(number)
    hashes.append(hash)
    starts.append((UInt32(values.count), Int32(vector.count), Int32(width)))
    values.append(contentsOf: vector)
    for _ in vector.count..<width { values.append(0) }
    return number
  }

  private func isEqual(_ number: Int, _ vector: ArraySlice<Double>) -> Bool {
    guard Int(starts[number].count) == vector.count else { return false }
    let first = Int(starts[number].first)
    for k in 0..<vector.count where values[first + k] != vector[vector.startIndex + k] {
      return false
    }
    return true
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    let mask = slots.count - 1
    for (number, hash) in hashes.enumerated() {
      var slot = Int(truncatingIfNeeded: hash >> 20) & mask
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(number)
    }
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

extension Forest {
  /// Adds trees in groups that are made on all cores.
  ///
  /// - Parameters:
  ///   - count: how many trees `add` is asked for.
  ///   - nodes: about how many nodes they have; few are added without help.
  ///   - add: adds the tree of a number to a forest that holds some of those before it.
  /// - Throws: the error of the first tree that has one.
  mutating func append(
    count: Int, nodes: Int, _ add: (inout Forest, Int) throws(ModelError) -> Void
  ) throws(ModelError) {
    guard nodes > 4096 else {
      for number in 0..<count { try add(&self, number) }
      return
    }
    let empty = part()
    let first = trees.count
    let parts = try Concurrently.tryMap(ranges: Concurrently.ranges(count, least: 1)) {
      range throws(ModelError) in
      var part = empty
      part.firstTree = first + range.lowerBound
      for number in range { try add(&part, number) }
      return part
    }
    try append(parts)
  }
}

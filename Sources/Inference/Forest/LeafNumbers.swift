/// Numbers the leaves of one tree after the other, those of the near child first.
///
/// The near child of a split is the one with fewer leaves, the left one of equals: see the masks
/// in `ck_forest.h`. Memory is kept from tree to tree.
struct LeafNumbers {
  /// By the node's place in its tree.
  private(set) var first: [Int32] = []
  private(set) var count: [Int32] = []

  mutating func number(_ forest: Forest, _ tree: Forest.Tree) {
    let nodes = tree.end - tree.root
    if first.count < nodes {
      first = [Int32](repeating: 0, count: nodes)
      count = first
    }
    let (features, children) = (forest.features, forest.children)
    first.withUnsafeMutableBufferPointer { first in
      count.withUnsafeMutableBufferPointer { count in
        // Children come after parents: counts from the bottom up, places from the top down.
        for node in (0..<nodes).reversed() {
          if features[tree.root + node] < 0 {
            count[node] = 1
          } else {
            let child = Int(children[tree.root + node]) - tree.root
            count[node] = count[child] + count[child + 1]
          }
        }
        first[0] = 0
        for node in 0..<nodes where features[tree.root + node] >= 0 {
          let left = Int(children[tree.root + node]) - tree.root
          let isLeftNear = count[left] <= count[left + 1]
          let near = isLeftNear ? left : left + 1
          let far = isLeftNear ? left + 1 : left
          first[near] = first[node]
          first[far] = first[node] + count[near]
        }
      }
    }
  }

  /// Leaves below the near child of a split whose left child is at `left`, in its tree's places.
  @inline(__always)
  func near(left: Int) -> (leaves: Range<Int>, isLeft: Bool) {
    let isLeft = count[left] <= count[left + 1]
    let near = isLeft ? left : left + 1
    return (Int(first[near])..<Int(first[near] + count[near]), isLeft)
  }
}

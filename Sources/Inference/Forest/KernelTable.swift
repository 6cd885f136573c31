/// A table that kernels read through a pointer: at the start of a cache line, and freed with its
/// owner.
///
/// Unchecked, since a pointer is not `Sendable`: nothing writes to the elements after `init`.
final class KernelTable<Element: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafePointer<Element>
  let count: Int

  /// - Parameter padding: zeroed bytes after the elements that kernels may read.
  init(_ elements: [Element], padding: Int = 0) {
    count = elements.count
    let byteCount = elements.count * MemoryLayout<Element>.stride
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: max(byteCount + padding, 1), alignment: 64)
    elements.withUnsafeBytes { bytes in
      if let source = bytes.baseAddress { memory.copyMemory(from: source, byteCount: byteCount) }
    }
    (memory + byteCount).initializeMemory(as: UInt8.self, repeating: 0, count: padding)
    base = UnsafePointer(memory.assumingMemoryBound(to: Element.self))
  }

  /// Elements in pieces that parts write, each once and whole, on all cores.
  ///
  /// - Parameters:
  ///   - starts: of each piece, then of the table's end; 0 is the first.
  ///   - fill: initializes the elements of a piece from the pointer on.
  init(pieces starts: [Int], _ fill: (Int, UnsafeMutablePointer<Element>) -> Void) {
    count = starts[starts.count - 1]
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: max(count * MemoryLayout<Element>.stride, 1), alignment: 64)
    nonisolated(unsafe) let elements = memory.bindMemory(to: Element.self, capacity: count)
    _ = Concurrently.map(starts.count - 1) { fill($0, elements + starts[$0]) }
    base = UnsafePointer(elements)
  }

  /// The elements of several lists, one after the other.
  convenience init(joining lists: [[Element]]) {
    var starts = [0]
    for list in lists { starts.append(starts[starts.count - 1] + list.count) }
    self.init(pieces: starts) { part, target in
      lists[part].withUnsafeBufferPointer { list in
        if let first = list.baseAddress { target.initialize(from: first, count: list.count) }
      }
    }
  }

  deinit { UnsafeMutablePointer(mutating: base).deallocate() }

  var byteCount: Int { count * MemoryLayout<Element>.stride }
}

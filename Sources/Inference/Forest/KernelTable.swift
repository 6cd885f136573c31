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

  deinit { UnsafeMutablePointer(mutating: base).deallocate() }

  var byteCount: Int { count * MemoryLayout<Element>.stride }
}

import CMalloc

/// What this process has allocated, by the allocator's own count.
enum Heap {
  /// Bytes in use, those of large blocks included.
  static var byteCount: Int { cm_allocated_bytes() }

  /// Bytes that stay allocated by `body`, whose result is kept until after the count.
  static func bytes<Value>(keptBy body: () throws -> Value) rethrows -> (value: Value, bytes: Int) {
    let before = byteCount
    let value = try body()
    return (value, byteCount - before)
  }
}

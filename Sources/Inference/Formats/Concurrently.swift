internal import Dispatch

/// Work on the parts of one model, on all cores.
///
/// Loading is made of parts that know nothing of each other: trees of a file, lists of a tree,
/// kernels of a forest. Results and errors are those of one part after the other.
enum Concurrently {
  /// Files below this, in bytes, are loaded by the caller's thread alone, which takes a millisecond:
  /// others would take about as long to wake up.
  static let leastFile = 32_768

  @TaskLocal private static var isSerial = false

  /// Runs `body` so that what it maps is done by this thread.
  static func serially<Value>(
    _ body: () throws(ModelError) -> Value
  ) throws(ModelError) -> Value {
    let result = $isSerial.withValue(true) { () -> Result<Value, ModelError> in
      do throws(ModelError) {
        return .success(try body())
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// What `body` makes of each number below `count`, in order.
  static func map<Value>(_ count: Int, _ body: (Int) -> Value) -> [Value] {
    var results = [Value?](repeating: nil, count: count)
    results.withUnsafeMutableBufferPointer { results in
      if count < 2 || isSerial {
        for part in 0..<count { results[part] = body(part) }
        return
      }
      // Each part writes to a place of its own, and all are done before this returns.
      nonisolated(unsafe) let places = results
      withoutActuallyEscaping(body) { body in
        nonisolated(unsafe) let body = body
        DispatchQueue.concurrentPerform(iterations: count) { places[$0] = body($0) }
      }
    }
    return results.map { $0! }
  }

  /// The same of parts that may be at fault.
  ///
  /// - Throws: the error of the first part that has one, whichever ends first.
  static func tryMap<Value>(
    _ count: Int, _ body: (Int) throws(ModelError) -> Value
  ) throws(ModelError) -> [Value] {
    let results = map(count) { part -> Result<Value, ModelError> in
      do throws(ModelError) {
        return .success(try body(part))
      } catch {
        return .failure(error)
      }
    }
    var values: [Value] = []
    values.reserveCapacity(count)
    for result in results { values.append(try result.get()) }
    return values
  }

  static func tryMap<Value>(
    ranges: [Range<Int>], _ body: (Range<Int>) throws(ModelError) -> Value
  ) throws(ModelError) -> [Value] {
    try tryMap(ranges.count) { part throws(ModelError) in try body(ranges[part]) }
  }

  /// An array in pieces that parts write, each once and whole.
  ///
  /// - Parameters:
  ///   - starts: of each piece, ascending from 0, then of the array's end.
  ///   - fill: initializes the elements of a piece from the pointer on.
  static func array<Element>(
    starts: [Int], _ fill: (Int, UnsafeMutablePointer<Element>) -> Void
  ) -> [Element] {
    let count = starts[starts.count - 1]
    guard count > 0 else { return [] }
    return Array(unsafeUninitializedCapacity: count) { buffer, filled in
      nonisolated(unsafe) let base = buffer.baseAddress!
      _ = map(starts.count - 1) { fill($0, base + starts[$0]) }
      filled = count
    }
  }

  /// Cuts `0..<count` into ranges of about equal length: more than there are cores, so that none
  /// waits long for the last, and each at least `least` long.
  static func ranges(_ count: Int, least: Int) -> [Range<Int>] {
    let parts = max(min(count / max(least, 1), 32), 1)
    return (0..<parts).map { (count * $0 / parts)..<(count * ($0 + 1) / parts) }
  }
}

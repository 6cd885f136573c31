internal import CKernels

/// A table of texts: finds the place of a text in the list that it was made of, by its bytes.
///
/// Texts are equal where their bytes are: unlike Swift's `==`, a letter with an accent does not equal
/// the letter followed by the accent. Of equal texts the first counts.
final class TextTable: @unchecked Sendable {
  // Never written after `init`, and freed with the last reference.
  let handle: OpaquePointer

  /// - Throws: where there is not enough memory.
  init(_ texts: [[UInt8]]) throws(ModelError) {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for text in texts {
      bytes += text
      ends.append(bytes.count)
    }
    guard let handle = ck_dictionary_make(bytes, ends, ends.count, .random(in: 0...(.max))) else {
      throw ModelError(.tooLarge, "a table of \(texts.count) texts does not fit the memory")
    }
    self.handle = handle
  }

  convenience init(_ texts: [String]) throws(ModelError) {
    try self.init(texts.map { Array($0.utf8) })
  }

  deinit { ck_dictionary_free(handle) }

  func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    var none: UInt8 = 0
    let place =
      bytes.baseAddress.map { ck_dictionary_find(handle, $0, bytes.count) }
      ?? ck_dictionary_find(handle, &none, 0)
    return place < 0 ? nil : Int(place)
  }

  func find(_ text: String) -> Int? { text.withBytes(find) }
}

extension String {
  /// The text's UTF-8 bytes, without a copy where it has them.
  @inline(__always)
  func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    utf8.withContiguousStorageIfAvailable(body)
      ?? Array(utf8).withUnsafeBufferPointer(body)
  }
}

/// The n-grams that a vectoriser counts: steps from one to those that are a token longer.
final class GramTable: @unchecked Sendable {
  // Never written after `init`, and freed with the last reference.
  let handle: OpaquePointer

  /// N-grams of tokens by number, with the column of each.
  ///
  /// - Returns: nil where an n-gram is there twice.
  /// - Throws: where there is not enough memory.
  init?(
    tokenCount: Int, grams: [(tokens: ArraySlice<Int32>, column: Int32)]
  ) throws(ModelError) {
    struct Step: Hashable {
      var from: UInt32
      var token: UInt32
    }
    var columns = Array(repeating: Int32(-1), count: tokenCount)
    var numbers: [Step: UInt32] = [:]
    var (from, tokens, to) = ([UInt32](), [UInt32](), [UInt32]())
    for gram in grams {
      guard let first = gram.tokens.first else { continue }
      var number = UInt32(first)
      for token in gram.tokens.dropFirst() {
        let step = Step(from: number, token: UInt32(token))
        if let next = numbers[step] {
          number = next
          continue
        }
        number = UInt32(columns.count)
        numbers[step] = number
        columns.append(-1)
        from.append(step.from)
        tokens.append(step.token)
        to.append(number)
      }
      guard columns[Int(number)] < 0 else { return nil }
      columns[Int(number)] = gram.column
    }
    guard
      let handle = ck_grams_make(
        from, tokens, to, from.count, columns, columns.count, .random(in: 0...(.max)))
    else {
      throw ModelError(.tooLarge, "a table of \(grams.count) n-grams does not fit the memory")
    }
    self.handle = handle
  }

  deinit { ck_grams_free(handle) }
}

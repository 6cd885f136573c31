import CKernels
import TestRandom
import Testing

/// Tables of texts and n-grams against plain searches.
@Suite struct TextKernelTests {
  private static func table(_ texts: [[UInt8]], seed: UInt64 = 7) -> OpaquePointer {
    var ends: [Int] = []
    for text in texts { ends.append((ends.last ?? 0) + text.count) }
    return ck_dictionary_make(texts.flatMap { $0 }, ends, texts.count, seed)!
  }

  @Test("a table finds each text and nothing else", arguments: [0, 1, 2, 100, 5000])
  func dictionary(count: Int) {
    var random = SplitMix64(seed: 3)
    let texts = (0..<count).map { i in
      (0..<(i % 41)).map { _ in UInt8.random(in: 0...3, using: &random) }
    }
    let table = Self.table(texts)
    defer { ck_dictionary_free(table) }
    for text in texts {
      #expect(Int(ck_dictionary_find(table, text + [0], text.count)) == texts.firstIndex(of: text))
    }
    for length in 0..<60 {
      let text = (0..<length).map { _ in UInt8.random(in: 0...3, using: &random) }
      let place = Int(ck_dictionary_find(table, text + [0], length))
      #expect(place == texts.firstIndex(of: text) ?? -1)
    }
  }

  @Test("texts of every length up to 40 are told apart by each of their bytes")
  func lengths() {
    for length in 0...40 {
      let text = (0..<length).map { UInt8($0 + 1) }
      let table = Self.table([text])
      defer { ck_dictionary_free(table) }
      #expect(ck_dictionary_find(table, text + [0], length) == 0)
      #expect(ck_dictionary_find(table, text + [0], length + 1) == -1)
      for i in 0..<length {
        var other = text
        other[i] ^= 0x80
        #expect(ck_dictionary_find(table, other, length) == -1)
        #expect(ck_dictionary_find(table, other, i) == -1)
      }
    }
  }

  @Test("n-grams are those of a plain search", arguments: [1, 2, 3], [1, 2, 3])
  func grams(least: Int, more: Int) {
    for distance in [1, 2, 4] { grams(least: least, more: more, distance: distance) }
  }

  private func grams(least: Int, more: Int, distance: Int) {
    let most = least + more - 1
    var random = SplitMix64(seed: UInt64(least * 100 + more * 10 + distance))
    let tokenCount = 4
    // Every n-gram of four tokens has its own column; every third is not counted.
    var columns = Array(repeating: Int32(-1), count: tokenCount)
    var (from, step, to) = ([UInt32](), [UInt32](), [UInt32]())
    var names: [[Int32]] = (0..<Int32(tokenCount)).map { [$0] }
    var next = 0
    while next < names.count {
      if names[next].count < most {
        for token in 0..<Int32(tokenCount) {
          from.append(UInt32(next))
          step.append(UInt32(token))
          to.append(UInt32(names.count))
          names.append(names[next] + [token])
          columns.append(-1)
        }
      }
      next += 1
    }
    for place in names.indices where names[place].count >= least && place % 3 != 0 {
      columns[place] = Int32(place)
    }
    let table = ck_grams_make(from, step, to, from.count, columns, columns.count, 11)!
    defer { ck_grams_free(table) }
    let tokens = (0..<50).map { _ in Int32.random(in: -1..<Int32(tokenCount), using: &random) }
    var wanted: [UInt32] = []
    for size in least...most {
      for step in size == 1 ? 1...1 : 1...distance {
        for start in tokens.indices where start + step * (size - 1) < tokens.count {
          let gram = (0..<size).map { tokens[start + $0 * step] }
          if let place = names.firstIndex(of: gram), columns[place] >= 0 {
            wanted.append(UInt32(place))
          }
        }
      }
    }
    var hits = Array(repeating: UInt32(0), count: 50 * (1 + more * distance))
    let found = ck_gram_hits(table, tokens, tokens.count, least, most, distance, &hits)
    #expect(hits[..<found].sorted() == wanted.sorted())
    var all = Array(repeating: UInt32(0), count: columns.count)
    ck_gram_counts(table, tokens, tokens.count, least, most, distance, &all)
    var counts = hits
    let different = ck_count_hits(&hits, found, &counts)
    #expect(hits[..<different].elementsEqual(all.indices.filter { all[$0] > 0 }.map(UInt32.init)))
    #expect(counts[..<different].elementsEqual(all.filter { $0 > 0 }))
  }

  @Test("hashes are MurmurHash3's")
  func murmur() {
    func hash(_ text: String, _ seed: UInt32 = 0) -> UInt32 {
      ck_murmur3(Array(text.utf8) + [0], text.utf8.count, seed)
    }
    // Reference values of the public domain implementation.
    #expect(hash("") == 0)
    #expect(hash("", 1) == 0x514E_28B7)
    #expect(hash("test") == 0xBA6B_D213)
    #expect(hash("Hello, world!") == 0xC036_3E43)
    #expect(hash("aaa", 0x9747_b28c) == 0x283E_0130)
  }

  @Test("columns become rows", arguments: [0, 1, 15, 16, 17, 100], [1, 2, 28])
  func interleave(rows: Int, count: Int) {
    let columns = (0..<count).map { j in (0..<rows).map { Float($0 * 100 + j) } }
    var out = Array(repeating: Float(-1), count: max(rows * count, 1))
    withExtendedLifetime(columns) {
      let pointers: [UnsafePointer<Float>?] = columns.map { column in
        column.withUnsafeBufferPointer { $0.baseAddress }
      }
      ck_interleave_f32(pointers, count, rows, count, &out)
    }
    for row in 0..<rows {
      for j in 0..<count { #expect(out[row * count + j] == Float(row * 100 + j)) }
    }
  }

  @Test("exceptions are found wherever they are", arguments: [1, 7, 8, 33, 200])
  func exceptions(count: Int) {
    let plain = (0..<count).map { Float($0) - 3 }
    #expect(ck_exceptions_f32(plain, count) == 0)
    #expect(ck_exceptions_f64(plain.map(Double.init), count) == 0)
    for place in 0..<count {
      for (value, wanted) in [
        (Float.nan, CK_HAS_NAN), (-.nan, CK_HAS_NAN), (.infinity, CK_HAS_INFINITY),
        (-.infinity, CK_HAS_INFINITY), (.greatestFiniteMagnitude, 0), (-0.0, 0),
      ] {
        var numbers = plain
        numbers[place] = value
        #expect(ck_exceptions_f32(numbers, count) == Int32(wanted))
        #expect(ck_exceptions_f32_scalar(numbers, count) == Int32(wanted))
        let doubles = numbers.map(Double.init)
        #expect(ck_exceptions_f64(doubles, count) == Int32(wanted))
      }
    }
  }
}

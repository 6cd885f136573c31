internal import CKernels

/// The attributes of TfIdfVectorizer: which n-grams are counted, and what a count is worth.
struct TermCounter: Sendable {
  enum Mode: String, Sendable {
    case counts = "TF"
    case presence = "IDF"
    case weightedCounts = "TFIDF"
  }

  /// Tokens that are part of some n-gram: texts, or the eight bytes of whole numbers.
  let tokens: TextTable
  private let grams: GramTable
  private let least: Int
  private let most: Int
  /// The greatest distance between the tokens of an n-gram.
  private let distance: Int
  private let mode: Mode
  /// A weight for each column, where the mode wants them.
  private let weights: [Double]?
  /// Columns of the output.
  let width: Int
  /// True where the tokens are texts.
  let countsTexts: Bool

  init(_ node: Node) throws(ModelError) {
    guard let mode = Mode(rawValue: try node.string("mode", default: "")) else {
      throw node.error(.malformed, "mode is not TF, IDF or TFIDF")
    }
    self.mode = mode
    least = try node.int("min_gram_length", default: 0)
    most = try node.int("max_gram_length", default: 0)
    let skips = try node.int("max_skip_count", default: 0)
    guard (1...64).contains(least), (least...64).contains(most), (0...1024).contains(skips) else {
      throw node.error(.malformed, "n-grams of \(least) to \(most) tokens that skip \(skips)")
    }
    // What a token may cost.
    guard (most - 1) * (skips + 1) <= 256 else {
      throw node.error(.tooLarge, "n-grams of \(most) tokens that skip \(skips)")
    }
    distance = skips + 1
    let starts = try node.ints("ngram_counts") ?? []
    let columns = try node.ints("ngram_indexes") ?? []
    guard most <= starts.count, let last = columns.max(), columns.allSatisfy({ $0 >= 0 }),
      last < node.limits.elementCount
    else { throw node.error(.malformed, "ngram_counts or ngram_indexes do not fit") }
    width = last + 1
    let texts = try node.strings("pool_strings") ?? []
    let numbers = try node.ints("pool_int64s") ?? []
    guard texts.isEmpty != numbers.isEmpty else {
      throw node.error(.malformed, "wants either pool_strings or pool_int64s")
    }
    countsTexts = numbers.isEmpty
    let pool = texts.isEmpty ? numbers.map(Self.bytes) : texts.map { Array($0.utf8) }
    (tokens, grams) = try Self.tables(
      node, pool, starts: starts, columns: columns, sizes: least...most)
    let given = try node.floats("weights") ?? []
    guard given.isEmpty || given.count == columns.count else {
      throw node.error(.malformed, "\(given.count) weights for \(columns.count) n-grams")
    }
    if mode == .counts || given.isEmpty {
      weights = nil
    } else {
      var weights = Array(repeating: 0.0, count: width)
      for (column, weight) in zip(columns, given) { weights[column] = Double(weight) }
      self.weights = weights
    }
  }

  static func bytes(_ number: Int) -> [UInt8] {
    withUnsafeBytes(of: Int64(number).littleEndian) { Array($0) }
  }

  private static func tables(
    _ node: Node, _ pool: [[UInt8]], starts: [Int], columns: [Int], sizes: ClosedRange<Int>
  ) throws(ModelError) -> (TextTable, GramTable) {
    var numbers: [[UInt8]: Int32] = [:]
    var distinct: [[UInt8]] = []
    var items: [Int32] = []
    for item in pool {
      if let number = numbers[item] {
        items.append(number)
        continue
      }
      numbers[item] = Int32(distinct.count)
      items.append(Int32(distinct.count))
      distinct.append(item)
    }
    var grams: [(tokens: ArraySlice<Int32>, column: Int32)] = []
    var count = 0
    for (index, start) in starts.enumerated() {
      let end = index + 1 < starts.count ? starts[index + 1] : pool.count
      let size = index + 1
      guard start >= 0, start <= end, end <= pool.count, (end - start) % size == 0 else {
        throw node.error(.malformed, "\(size)-grams \(start) to \(end) of \(pool.count)")
      }
      for first in stride(from: start, to: end, by: size) {
        guard count < columns.count else {
          throw node.error(.malformed, "more n-grams than the \(columns.count) of ngram_indexes")
        }
        if sizes.contains(size) {
          grams.append((items[first..<(first + size)], Int32(clamping: columns[count])))
        }
        count += 1
      }
    }
    guard count == columns.count else {
      throw node.error(.malformed, "\(columns.count) ngram_indexes for \(count) n-grams")
    }
    guard let table = try GramTable(tokenCount: distinct.count, grams: grams) else {
      throw node.error(.malformed, "an n-gram is there twice")
    }
    return (try TextTable(distinct), table)
  }

  /// Counts the n-grams of a row's tokens: columns in increasing order, each with its value.
  func count(_ row: TermRow) {
    let sizes = most - max(least, 2) + 1
    let limit = row.tokenCount * (1 + max(sizes, 0) * distance)
    if limit <= TermRow.mostHits {
      row.reserveTerms(limit)
      let hits = ck_gram_hits(
        grams.handle, row.tokens, row.tokenCount, least, most, distance, row.places)
      row.termCount = ck_count_hits(row.places, hits, row.counts)
    } else {
      countAll(row)
    }
    for term in 0..<row.termCount { row.values[term] = value(row, term) }
  }

  /// The same for so many n-grams that a count for each column takes less memory.
  private func countAll(_ row: TermRow) {
    var counts = Array(repeating: UInt32(0), count: width)
    ck_gram_counts(grams.handle, row.tokens, row.tokenCount, least, most, distance, &counts)
    let found = counts.indices.filter { counts[$0] > 0 }
    row.reserveTerms(found.count)
    for (term, column) in found.enumerated() {
      (row.places[term], row.counts[term]) = (UInt32(column), counts[column])
    }
    row.termCount = found.count
  }

  @inline(__always)
  private func value(_ row: TermRow, _ term: Int) -> Double {
    let weight = weights.map { $0[Int(row.places[term])] } ?? 1
    return mode == .presence ? weight : Double(row.counts[term]) * weight
  }
}

/// The tokens of one row, and the columns that are not zero; memory that grows with the longest row.
final class TermRow {
  /// More n-grams of a row are counted in a table of all columns.
  static let mostHits = 1 << 16

  var tokenCount = 0
  private(set) var tokens: UnsafeMutablePointer<Int32>
  private var tokenCapacity = 0
  /// Columns in increasing order.
  private(set) var places: UnsafeMutablePointer<UInt32>
  private(set) var counts: UnsafeMutablePointer<UInt32>
  private(set) var values: UnsafeMutablePointer<Double>
  var termCount = 0
  private var termCapacity = 0
  /// Both of the above; one piece each.
  private var memory: (tokens: UnsafeMutableRawPointer, terms: UnsafeMutableRawPointer)
  /// The text after its case was changed.
  var bytes: [UInt8] = []

  init() {
    let memory = (Self.tokenMemory(256), Self.termMemory(256))
    self.memory = memory
    (tokenCapacity, termCapacity) = (256, 256)
    tokens = memory.0.assumingMemoryBound(to: Int32.self)
    (values, places, counts) = Self.termPointers(memory.1, 256)
  }

  deinit {
    memory.tokens.deallocate()
    memory.terms.deallocate()
  }

  private static func tokenMemory(_ count: Int) -> UnsafeMutableRawPointer {
    .allocate(byteCount: count * 4, alignment: 16)
  }

  private static func termMemory(_ count: Int) -> UnsafeMutableRawPointer {
    .allocate(byteCount: count * 16, alignment: 16)
  }

  private static func termPointers(
    _ memory: UnsafeMutableRawPointer, _ count: Int
  ) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>) {
    (
      memory.assumingMemoryBound(to: Double.self),
      (memory + count * 8).assumingMemoryBound(to: UInt32.self),
      (memory + count * 12).assumingMemoryBound(to: UInt32.self)
    )
  }

  /// Makes room for so many tokens; those that were there are lost.
  func reserveTokens(_ count: Int) {
    guard count > tokenCapacity else { return }
    tokenCapacity = count * 2
    memory.tokens.deallocate()
    memory.tokens = Self.tokenMemory(tokenCapacity)
    tokens = memory.tokens.assumingMemoryBound(to: Int32.self)
  }

  /// Makes room for so many terms; those that were there are lost.
  func reserveTerms(_ count: Int) {
    guard count > termCapacity else { return }
    termCapacity = count * 2
    memory.terms.deallocate()
    memory.terms = Self.termMemory(termCapacity)
    (values, places, counts) = Self.termPointers(memory.terms, termCapacity)
  }
}

/// A text on its way to its terms: its case is changed, it is cut into tokens, n-grams are counted.
struct TextTerms: Sendable {
  let change: TextCase
  let cutter: TextCutter
  /// Tokens that mark the start and the end of a text.
  let hasMarks: Bool
  let counter: TermCounter
  /// What bytes become, where the text can be cut byte by byte.
  private let byteClass: [UInt8]?

  init(change: TextCase, tokenizer: Tokenizer, counter: TermCounter) {
    (self.change, self.counter) = (change, counter)
    (cutter, hasMarks) = (tokenizer.cutter, tokenizer.hasMarks)
    byteClass = hasMarks ? nil : cutter.bytesOfClass(change)
  }

  /// Finds the terms of a text; one that takes too long to cut makes its row a failure.
  func find(
    in text: String, _ row: TermRow, _ memory: inout TextCutter.Memory, _ index: Int, _ call: Call
  ) {
    find(in: text, row, &memory)
    if memory.isExhausted {
      call.failures.add(
        row: index, .wrongType, "a text takes too many steps to be cut into tokens")
    }
  }

  private func find(in text: String, _ row: TermRow, _ memory: inout TextCutter.Memory) {
    text.withBytes { bytes in
      row.reserveTokens(bytes.count + 2)
      if let byteClass, let base = bytes.baseAddress {
        let least = cutter.leastOfRuns
        let count = ck_tokens_of_class(
          counter.tokens.handle, byteClass, base, bytes.count, least, row.tokens)
        if count >= 0 {
          row.tokenCount = count
          counter.count(row)
          return
        }
      }
      if change.action == .none {
        cut(bytes, row, &memory)
      } else {
        change.apply(bytes, into: &row.bytes)
        row.reserveTokens(row.bytes.count + 2)
        let changed = row.bytes
        changed.withUnsafeBufferPointer { cut($0, row, &memory) }
      }
      counter.count(row)
    }
  }

  private func cut(
    _ bytes: UnsafeBufferPointer<UInt8>, _ row: TermRow, _ memory: inout TextCutter.Memory
  ) {
    row.tokenCount = 0
    func append(_ token: Int?) {
      row.tokens[row.tokenCount] = Int32(token ?? -1)
      row.tokenCount += 1
    }
    if hasMarks { append(counter.tokens.find(Tokenizer.startMark)) }
    cutter.forEachToken(in: bytes, &memory) { range in
      append(counter.tokens.find(UnsafeBufferPointer(rebasing: bytes[range])))
    }
    if hasMarks { append(counter.tokens.find(Tokenizer.endMark)) }
  }
}

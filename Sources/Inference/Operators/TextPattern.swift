/// A regular expression, matched in time that is linear in the text, for any expression.
///
/// The syntax is RE2's, which ONNX Runtime matches with, and so are the results: the leftmost match,
/// of those the longest. `\w`, `\d`, `\s` and `\b` are of ASCII, as there; after `(?u)` they are of
/// Unicode, as scikit-learn's own patterns have them. Method: Thompson's simulation of all
/// alternatives at once (Communications of the ACM 11(6), 1968), as described by Cox (2009).
struct TextPattern: Sendable {
  /// One step of the simulated machine.
  enum Instruction: Sendable {
    case set(CodePointSet, next: Int)
    case split(Int, Int)
    case assert(Assertion, next: Int)
    case match
  }

  enum Assertion: Sendable {
    case textStart, textEnd, lineStart, lineEnd
    case wordBoundary(isUnicode: Bool, isNegated: Bool)
  }

  private static let mostInstructions = 4_000
  /// Steps that the matches of one text may take together.
  private static let mostSteps = 1 << 26

  let tree: PatternTree
  private let program: [Instruction]
  private let start: Int

  /// - Throws: `PatternError` that says what is wrong with the expression.
  init(_ text: String) throws(PatternError) {
    var parser = PatternParser(text)
    tree = try parser.parse()
    var builder = Builder()
    let match = try builder.add(.match)
    start = try builder.compile(tree, next: match)
    program = builder.program
  }

  private struct Builder {
    var program: [Instruction] = []
    private var visits = 0

    mutating func add(_ instruction: Instruction) throws(PatternError) -> Int {
      guard program.count < mostInstructions else {
        throw PatternError("the expression takes more than \(mostInstructions) steps")
      }
      program.append(instruction)
      return program.count - 1
    }

    /// Adds what matches a tree and goes on to `next`; returns where it starts.
    mutating func compile(_ tree: PatternTree, next: Int) throws(PatternError) -> Int {
      visits += 1
      guard visits <= 10 * mostInstructions else {
        throw PatternError("the expression repeats too much")
      }
      switch tree {
      case .empty: return next
      case .set(let set): return try add(.set(set, next: next))
      case .assertion(let assertion): return try add(.assert(assertion, next: next))
      case .sequence(let parts):
        var start = next
        for part in parts.reversed() { start = try compile(part, next: start) }
        return start
      case .choice(let parts):
        guard let last = parts.last else { return next }
        var start = try compile(last, next: next)
        for part in parts.dropLast().reversed() {
          start = try add(.split(compile(part, next: next), start))
        }
        return start
      case .repetition(let part, let least, let most):
        var start = next
        if let most {
          for _ in least..<max(most, least) {
            start = try add(.split(compile(part, next: start), next))
          }
        } else {
          let loop = try add(.match)
          program[loop] = .split(try compile(part, next: loop), next)
          start = loop
        }
        for _ in 0..<least { start = try compile(part, next: start) }
        return start
      }
    }
  }
}

extension TextPattern {
  /// The memory of a match, kept from one to the next.
  struct Matcher {
    fileprivate var now: Threads
    fileprivate var later: Threads
    fileprivate var steps = 0

    /// True where a match was given up.
    var isExhausted: Bool { steps > mostSteps }

    /// Begins another text.
    mutating func reset() { steps = 0 }

    init(_ pattern: TextPattern) {
      now = Threads(capacity: pattern.program.count)
      later = now
    }
  }

  /// The alternatives that are alive, each instruction at most once, by earliest start first.
  fileprivate struct Threads {
    var list: [(instruction: Int, start: Int)] = []
    /// Instruction i is in the list where marks[i] is the current number.
    var marks: [Int]
    var number = 0

    init(capacity: Int) {
      marks = Array(repeating: -1, count: capacity)
      list.reserveCapacity(capacity)
    }

    mutating func removeAll() {
      list.removeAll(keepingCapacity: true)
      number += 1
    }
  }

  /// The leftmost-longest match at or after `place`; assertions see the whole text.
  func firstMatch(
    in text: UnsafeBufferPointer<UInt8>, from place: Int, _ matcher: inout Matcher,
    isAnchored: Bool = false
  ) -> Range<Int>? {
    var best: Range<Int>?
    var at = place
    var stack: [Int] = []
    matcher.now.removeAll()
    while true {
      if best == nil, !isAnchored || at == place {
        follow(start, at, text, at, &matcher.now, &stack)
      }
      let here = at
      let scalar: Unicode.Scalar? = at < text.count ? text.scalar(at: &at) : nil
      matcher.later.removeAll()
      matcher.steps += matcher.now.list.count + 1
      guard !matcher.isExhausted else { return nil }
      for (instruction, start) in matcher.now.list {
        if let best, start > best.lowerBound { continue }
        switch program[instruction] {
        case .match:
          if best.map({ start < $0.lowerBound || here > $0.upperBound }) ?? true {
            best = start..<here
          }
        case .set(let set, let next):
          if let scalar, set.contains(scalar) {
            follow(next, start, text, at, &matcher.later, &stack)
          }
        case .split, .assert: break
        }
      }
      swap(&matcher.now, &matcher.later)
      if scalar == nil || matcher.now.list.isEmpty && (best != nil || isAnchored) { return best }
    }
  }

  /// True where the whole text matches.
  func matches(_ text: UnsafeBufferPointer<UInt8>, _ matcher: inout Matcher) -> Bool {
    firstMatch(in: text, from: 0, &matcher, isAnchored: true)?.upperBound == text.count
  }

  /// Adds an instruction and all that follow from it without a character.
  private func follow(
    _ instruction: Int, _ start: Int, _ text: UnsafeBufferPointer<UInt8>, _ at: Int,
    _ threads: inout Threads, _ stack: inout [Int]
  ) {
    stack.append(instruction)
    while let next = stack.popLast() {
      guard threads.marks[next] != threads.number else { continue }
      threads.marks[next] = threads.number
      switch program[next] {
      case .split(let first, let second):
        stack.append(second)
        stack.append(first)
      case .assert(let assertion, let after):
        if holds(assertion, text, at) { stack.append(after) }
      case .set, .match: threads.list.append((next, start))
      }
    }
  }

  private func holds(
    _ assertion: Assertion, _ text: UnsafeBufferPointer<UInt8>, _ at: Int
  ) -> Bool {
    switch assertion {
    case .textStart: return at == 0
    case .textEnd: return at == text.count
    case .lineStart: return at == 0 || text[at - 1] == 0x0A
    case .lineEnd: return at == text.count || text[at] == 0x0A
    case .wordBoundary(let isUnicode, let isNegated):
      let word = isUnicode ? CodePointSet.unicodeWord : CodePointSet.word
      var (before, after) = (at, at)
      let isBefore = at > 0 && word.contains(text.scalar(before: &before))
      let isAfter = at < text.count && word.contains(text.scalar(at: &after))
      return (isBefore != isAfter) != isNegated
    }
  }
}

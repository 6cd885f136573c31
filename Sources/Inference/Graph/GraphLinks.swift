/// Which step makes each value of a graph, and which steps read it.
struct GraphLinks {
  private let makers: [Int: Int]
  private let readers: [Int: [Int]]
  private let isOutput: Set<Int>

  init(_ graph: Graph) {
    var makers: [Int: Int] = [:]
    var readers: [Int: [Int]] = [:]
    for (index, step) in graph.steps.enumerated() {
      for output in step.outputs { makers[output] = index }
      for input in step.inputs { if let input { readers[input, default: []].append(index) } }
    }
    (self.makers, self.readers) = (makers, readers)
    isOutput = Set(graph.outputs.map(\.value))
  }

  /// The step that makes a value; nil for an input or a constant.
  func maker(of value: Int) -> Int? { makers[value] }

  /// The steps that read a value, one as often as it does.
  func readers(of value: Int) -> [Int] { readers[value] ?? [] }

  /// The step that alone reads a value, once; nil where the graph returns the value.
  func onlyReader(of value: Int) -> Int? {
    guard !isOutput.contains(value), let readers = readers[value], readers.count == 1 else {
      return nil
    }
    return readers[0]
  }

  /// True where nothing but one step needs the value.
  func isReadOnce(_ value: Int) -> Bool { onlyReader(of: value) != nil }
}

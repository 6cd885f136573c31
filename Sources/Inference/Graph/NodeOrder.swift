/// The nodes that the outputs need, each after those that it reads from.
struct NodeOrder {
  let live: [Int]

  /// - Parameter known: Names of inputs and initializers.
  init(_ graph: OnnxGraph, known: Set<String>) throws(ModelError) {
    var producers: [String: Int] = [:]
    for (index, node) in graph.nodes.enumerated() {
      for name in node.outputs where !name.isEmpty {
        guard producers[name] == nil, !known.contains(name) else {
          throw ModelError(
            .malformed, "value \"\(name)\" is defined twice (node \"\(node.displayName)\")")
        }
        producers[name] = index
      }
    }
    // Kahn's algorithm; `ready` is in the file's order, which is a sorted one in a proper file.
    var waitsFor = Array(repeating: 0, count: graph.nodes.count)
    var readers: [[Int]] = Array(repeating: [], count: graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      for name in node.reads where !known.contains(name) {
        guard let producer = producers[name] else {
          throw ModelError(
            .malformed, "value \"\(name)\" is not defined (node \"\(node.displayName)\")")
        }
        waitsFor[index] += 1
        readers[producer].append(index)
      }
    }
    var sorted = graph.nodes.indices.filter { waitsFor[$0] == 0 }
    var next = 0
    while next < sorted.count {
      for reader in readers[sorted[next]] {
        waitsFor[reader] -= 1
        if waitsFor[reader] == 0 { sorted.append(reader) }
      }
      next += 1
    }
    guard sorted.count == graph.nodes.count else {
      let node = graph.nodes[waitsFor.firstIndex { $0 > 0 } ?? 0]
      throw ModelError(.malformed, "nodes form a cycle (node \"\(node.displayName)\")")
    }
    var needed = Array(repeating: false, count: graph.nodes.count)
    for output in graph.outputs {
      if let producer = producers[output.name] { needed[producer] = true }
    }
    for index in sorted.reversed() where needed[index] {
      for name in graph.nodes[index].reads {
        if let producer = producers[name] { needed[producer] = true }
      }
    }
    live = sorted.filter { needed[$0] }
  }
}

extension OnnxNode {
  /// Values that the node needs: its inputs, and what its subgraphs take from around them.
  var reads: Set<String> {
    var names = Set(inputs)
    names.remove("")
    for attribute in attributes.values {
      if case .graph(let graph) = attribute { names.formUnion(graph.freeNames) }
    }
    return names
  }
}

extension OnnxGraph {
  /// Names that the graph reads and does not define.
  var freeNames: Set<String> {
    var names: Set<String> = []
    for node in nodes { names.formUnion(node.reads) }
    for output in outputs { names.insert(output.name) }
    names.subtract(initializers.map(\.name))
    names.subtract(inputs.map(\.name))
    for node in nodes { names.subtract(node.outputs) }
    return names
  }
}

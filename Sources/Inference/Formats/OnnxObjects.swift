extension OnnxGraph {
  /// Operators whose results have a size that the values decide.
  private static let sizesByValue: Set<String> = [
    "NonMaxSuppression", "NonZero", "Compress", "Unique",
  ]

  /// Whether a row's objects may be as many as the image has.
  var hasListsOfObjects: Bool {
    nodes.contains { node in
      Self.sizesByValue.contains(node.type)
        || node.attributes.values.contains { attribute in
          if case .graph(let graph) = attribute { graph.hasListsOfObjects } else { false }
        }
    }
  }

  /// Gives a network that answers as many objects as it finds one output of a fixed size: a box, a score and a
  /// label a place, and scores of -1 where there is no object.
  ///
  /// - Throws: `.mismatch` where the outputs are not those of such a network.
  mutating func padObjects(to count: Int) throws(ModelError) {
    func named(_ parts: [String]) -> OnnxValue? {
      outputs.first { output in parts.contains { output.name.lowercased().contains($0) } }
    }
    // Names that no graph can have: they hold a line break.
    func own(_ name: String) -> String { "objects\n\(name)" }
    func constant(_ name: String, _ values: [Int64]) -> String {
      initializers.append((own(name), Tensor(values)))
      return own(name)
    }
    let all: String
    if outputs.count == 1 {
      add("Cast", [outputs[0].name], own("numbers"), ["to": .int(1)])
      add("Reshape", [own("numbers"), constant("of six", [-1, 6])], own("all"), [:])
      all = own("all")
    } else {
      guard let boxes = named(["box"]), let scores = named(["score", "conf", "prob"]),
        let labels = named(["label", "class"])
      else {
        throw ModelError(
          .mismatch, "objects: the outputs are not named as boxes, scores and labels",
          detail: "They are \(outputs.map { "\"\($0.name)\"" }.joined(separator: ", ")).")
      }
      var columns: [String] = []
      for (name, output, width) in [
        ("boxes", boxes, 4), ("scores", scores, 1), ("labels", labels, 1),
      ] {
        add("Cast", [output.name], own("\(name) as numbers"), ["to": .int(1)])
        add(
          "Reshape", [own("\(name) as numbers"), constant("\(name)' size", [-1, Int64(width)])],
          own(name), [:])
        columns.append(own(name))
      }
      add("Concat", columns, own("all"), ["axis": .int(1)])
      all = own("all")
    }
    let filler: [Float] = (0..<count * 6).map { $0 % 6 == 4 ? -1 : 0 }
    initializers.append((own("none"), Tensor(filler, dims: [count, 6])))
    add("Concat", [all, own("none")], own("more"), ["axis": .int(0)])
    add(
      "Slice",
      [
        own("more"), constant("first", [0]), constant("last", [Int64(count)]),
        constant("axis", [0]),
      ],
      own("list"), [:])
    add("Unsqueeze", [own("list"), constant("rows", [0])], own("row"), [:])
    outputs = [
      OnnxValue(
        name: own("row"), type: .tensor(elementType: 1, dims: [nil, Int64(count), 6]))
    ]
  }
}

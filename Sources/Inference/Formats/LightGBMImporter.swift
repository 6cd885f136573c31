/// Reads LightGBM's text models (`save_model`, `model_to_string`), versions 2 to 4, with the
/// categories of the data frame that they were trained from.
///
/// Scores are those of LightGBM's own `predict`: a split compares doubles, leaves are added as
/// doubles in the order of the trees. All iterations of the file count: LightGBM writes those up
/// to the best one.
enum LightGBMImporter {
  static func load(
    _ bytes: [UInt8], labels: [String]?, options: ModelOptions, limits: ModelLimits
  ) throws(ModelError) -> Model {
    var text = LightGBMText(bytes)
    let header = try LightGBMHeader(&text, limits: limits)
    var forest = try Forest(
      featureCount: header.featureNames.count, outputCount: header.treesPerIteration,
      limits: limits)
    forest.keepsCovers = options.explains
    let treeCount = try readTrees(&text, header, into: &forest, iterations: options.iterations)
    let iterations = treeCount / header.treesPerIteration
    if let wanted = options.iterations,
      wanted.lowerBound < 0 || wanted.upperBound > iterations
    {
      throw ModelError(
        .mismatch, "iterations up to \(wanted.upperBound) are wanted, the model has \(iterations)")
    }

    var features = header.featureNames.map {
      Signature.Feature(name: $0, type: .float64, missing: .allowed)
    }
    let encoders = try LightGBMCategories(&text, limits: limits).encoders(
      &features, infos: header.featureInfos.map { text.words($0).map(text.string) })
    let counted = options.iterations?.count ?? iterations
    return try BoostedModel(
      format: .lightgbm, forest: forest, features: features,
      outputs: try header.outputs(labels: labels),
      base: Array(repeating: 0, count: header.treesPerIteration),
      divisor: header.averagesOutput ? Double(max(counted, 1)) : 1, encoders: encoders
    ).model(as: Double.self, options: options)
  }

  /// Adds the trees of the iterations wanted, all where nil.
  ///
  /// - Returns: how many trees the file has.
  private static func readTrees(
    _ text: inout LightGBMText, _ header: LightGBMHeader, into forest: inout Forest,
    iterations: Range<Int>?
  ) throws(ModelError) -> Int {
    var trees: [LightGBMSection] = []
    let found: Result<Int, ModelError>
    do throws(ModelError) {
      found = .success(
        try findTrees(&text, header) { tree in
          if iterations?.contains(tree.number / header.treesPerIteration) ?? true {
            trees.append(tree)
          }
        })
    } catch {
      found = .failure(error)
    }
    // What is wrong with a tree stands before what is wrong behind it. A node takes 40 bytes or more.
    try forest.append(count: trees.count, nodes: text.bytes.count / 40) {
      forest, index throws(ModelError) in
      let section = trees[index]
      try section.tree().append(
        to: &forest, output: section.number % header.treesPerIteration)
    }
    return try found.get()
  }

  /// Finds the sections of the trees.
  ///
  /// - Returns: how many there are.
  private static func findTrees(
    _ text: inout LightGBMText, _ header: LightGBMHeader, _ add: (LightGBMSection) -> Void
  ) throws(ModelError) -> Int {
    // The header's last line is "Tree=0", or "end of trees" where there is none.
    var heading = header.firstTree
    var number = 0
    while let line = heading {
      if text.starts(line, with: "end of trees") { break }
      guard text.bytes[line].elementsEqual("Tree=\(number)".utf8) else {
        throw ModelError(
          .malformed,
          "\"\(text.string(line).prefix(40))\" where tree \(number) is due (line \(text.line))")
      }
      let headingLine = text.line
      add(LightGBMSection(number: number, line: headingLine, text: text))
      while let next = text.nextLine(), !next.isEmpty {}
      heading = nil
      while let next = text.nextLine() {
        if next.isEmpty { continue }
        heading = next
        break
      }
      if heading == nil {
        throw ModelError(
          .truncated, "the file ends after tree \(number), before \"end of trees\"")
      }
      number += 1
    }
    if let declared = header.treeCount, declared != number {
      throw ModelError(
        .malformed, "\(number) trees where \"tree_sizes\" lists \(declared)")
    }
    guard number.isMultiple(of: header.treesPerIteration) else {
      throw ModelError(
        .malformed,
        "\(number) trees do not divide by \(header.treesPerIteration) an iteration")
    }
    return number
  }
}

/// Where the section of a tree starts.
private struct LightGBMSection {
  let number: Int
  let line: Int
  /// Behind the heading.
  let text: LightGBMText

  /// Reads the section up to the blank line that ends it.
  func tree() throws(ModelError) -> LightGBMTree {
    var text = text
    let section = try text.section()
    return LightGBMTree(number: number, line: line, text: text, entries: section.entries)
  }
}

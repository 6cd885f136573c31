import Foundation
import Inference

/// What `rowcast inspect` tells of a model, as `--json` prints it.
struct InspectReport: Encodable {
  struct Speed: Encodable {
    var batch: Int
    var nanosecondsPerRow: Double
  }

  var file: String
  var format: ModelFormat
  var origin: ModelOrigin
  var signature: Signature
  var structure: ModelStructure
  /// Which kernels were chosen for this machine, and what the others cost.
  var kernels: [KernelReport]
  var load: LoadTimer.Figure
  /// Whether reasons can be had beside predictions.
  var givesReasons: Bool
  /// On one thread.
  var speed: [Speed]
  /// Rows of those timed that the model refuses, as it may categories that were made up.
  var refusedShare: Double

  private static let batches = [1, 1024]
  /// Images take milliseconds each.
  private static let imageBatches = [1, 8]

  /// Loads and measures; takes about half a second.
  init(
    path: String, bytes: [UInt8], labels: [String]?, options: ModelOptions = ModelOptions()
  ) throws {
    let model = try Model.load(bytes, labels: labels, options: options)
    file = path
    format = model.format
    origin = try ModelOrigin(of: bytes, format: model.format)
    signature = model.signature
    structure = model.structure
    givesReasons = model.givesReasons
    kernels = model.kernelChoices
    load = try LoadTimer.measure(bytes, options: options, seconds: 0.1).figure
    let batches =
      signature.features.contains { $0.image != nil } ? Self.imageBatches : Self.batches
    let rows = model.syntheticRows(count: batches[1])
    let failures = try model.predict(rows, workspace: Workspace()).failures
    refusedShare = Double(failures.count) / Double(rows.rowCount)
    let timer = EngineTimer(model: model, rows: rows, repeats: 3, seconds: 0.03)
    speed = try batches.map { batch in
      Speed(
        batch: batch,
        nanosecondsPerRow: try timer.measure(batch: batch, threads: 1).nanosecondsPerRow)
    }
  }
}

// MARK: For people

extension InspectReport {
  /// Features and outputs beyond these are counted and not listed.
  private static let mostListed = 40

  var text: String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return
      (["\(name): \(format), \(Format.bytes(load.byteCount))"] + facts + [""] + features
      + [""] + outputs)
      .joined(separator: "\n")
  }

  private var facts: [String] {
    var lines: [(String, String)] = []
    if let producer = origin.producer { lines.append(("producer", producer)) }
    lines += origin.facts.map { ($0.name, $0.value) }
    if !origin.operators.isEmpty {
      let nodes = origin.operators.values.reduce(0, +)
      let list = origin.operators.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        .map { $0.value == 1 ? $0.key : "\($0.key) x \($0.value)" }
      lines.append(
        (
          "operators",
          "\(nodes) nodes, run as \(structure.stepCount) steps: \(list.joined(separator: ", "))"
        ))
    }
    for trees in structure.trees {
      let depth =
        trees.leastDepth == trees.mostDepth
        ? "\(trees.mostDepth)" : "\(trees.leastDepth) to \(trees.mostDepth)"
      lines.append(
        (
          "trees",
          "\(Format.count(trees.count)), depth \(depth), \(Format.count(trees.leaves)) leaves"
            + (trees.categoricalSplits > 0
              ? ", \(Format.count(trees.categoricalSplits)) categorical splits" : "")
        ))
    }
    for feature in signature.features {
      if let image = feature.image { lines.append(("image", "\(feature.name): \(image)")) }
    }
    lines += Self.lines(kernels)
    lines += [
      ("reasons", givesReasons ? "yes: --explain, explain => k" : "none: not of this model"),
      (
        "load",
        "\(Format.length(seconds: load.seconds)), \(Format.rate(load.bytesPerSecond / 1e6)) MB/s"
      ),
      (
        "memory",
        "\(Format.bytes(load.heapByteCount)), \(Format.decimal(load.memoryRatio, places: 2)) of the file"
      ),
      (
        "speed",
        speed.map {
          "\(Self.time($0.nanosecondsPerRow)) a row at batch \(Format.count($0.batch))"
        }.joined(separator: ", ") + ", one thread"
      ),
    ]
    if refusedShare > 0 {
      lines.append(
        (
          "",
          "\(Format.decimal(refusedShare * 100, places: 0)) % of the made-up rows were refused: "
            + "the figures are too good"
        ))
    }
    if !structure.unusedFeatures.isEmpty {
      lines.append(
        (
          "unused",
          "\(Format.count(structure.unusedFeatures.count)) of "
            + "\(Format.count(signature.features.count)) features make no difference: "
            + Self.list(structure.unusedFeatures)
        ))
    }
    let width = lines.map(\.0.count).max() ?? 0
    return lines.map { name, value in
      "  " + name + String(repeating: " ", count: width - name.count) + "  " + value
    }
  }

  /// A line a choice, and one for the figures that choices of the same trial share.
  private static func lines(_ kernels: [KernelReport]) -> [(String, String)] {
    var lines: [(String, String)] = []
    for (index, kernel) in kernels.enumerated() {
      let batches =
        switch (kernel.leastRows, kernel.mostRows) {
        case (...1, nil): ""
        case (let least, nil): " from batches of \(Format.count(least)) rows on"
        case (_, 1): " for single rows"
        case (_, let most?): " up to batches of \(Format.count(most)) rows"
        }
      lines.append(("kernel", "\(kernel.name)\(batches): \(kernel.reason)"))
      let next = index + 1 < kernels.count ? kernels[index + 1] : nil
      guard kernel.alternatives.count > 1, next?.alternatives != kernel.alternatives else {
        continue
      }
      for alternative in kernel.alternatives {
        let figures = alternative.nanosecondsPerRow
          .map { "\(time($0.nanoseconds)) at batch \(Format.count($0.rows))" }
        lines.append(("", "\(alternative.name): \(figures.joined(separator: ", "))"))
      }
    }
    return lines
  }

  private var features: [String] {
    var table = TextTable([("feature", .left), ("type", .left), ("missing", .left)])
    for feature in signature.features.prefix(Self.mostListed) {
      table.append([feature.name, feature.type.rawValue, feature.missing.rawValue])
    }
    return table.lines + Self.rest(signature.features.count, "features")
  }

  private var outputs: [String] {
    var table = TextTable([("output", .left), ("type", .left), ("role", .left), ("class", .left)])
    for output in signature.outputs.prefix(Self.mostListed) {
      table.append([
        output.name, output.type.rawValue, output.role.rawValue, output.className ?? "",
      ])
    }
    return table.lines + Self.rest(signature.outputs.count, "outputs")
  }

  private static func rest(_ count: Int, _ what: String) -> [String] {
    count > mostListed ? ["… and \(Format.count(count - mostListed)) \(what) more"] : []
  }

  private static func list(_ names: [String]) -> String {
    names.prefix(mostListed).joined(separator: ", ") + (names.count > mostListed ? ", …" : "")
  }

  private static func time(_ nanoseconds: Double) -> String {
    nanoseconds < 1000
      ? "\(Format.decimal(nanoseconds, places: 0)) ns"
      : nanoseconds < 1e6
        ? "\(Format.decimal(nanoseconds / 1000, places: 2)) us"
        : "\(Format.decimal(nanoseconds / 1e6, places: 2)) ms"
  }
}

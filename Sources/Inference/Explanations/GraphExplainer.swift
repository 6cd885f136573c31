/// Contributions to the margins of a linear graph.
struct GraphExplainer: Explainer {
  let features: [Int]
  let outputCount: Int
  let bases: [Double]
  let blockRows = 32

  private struct Term: Sendable {
    var place: Int
    var source: LinearMargins.Source
    var weights: [Double]
  }

  private let terms: [Term]

  /// - Parameter slots: where each feature goes.
  init(_ margins: LinearMargins, slots: [GraphPredictor.FeatureSlot]) {
    bases = margins.bases
    outputCount = margins.bases.count
    var numbers: [Int: [Int: Int]] = [:]
    for (number, slot) in slots.enumerated() {
      numbers[slot.input, default: [:]][slot.element] = number
    }
    let owners = margins.terms.map { numbers[$0.input]?[$0.element] ?? 0 }
    let features = Set(owners).sorted()
    self.features = features
    terms = zip(margins.terms, owners).map { term, owner in
      Term(
        place: features.firstIndex(of: owner) ?? 0, source: term.source, weights: term.weights)
    }
  }

  var scratchByteCount: Int { BlockValues.byteCount(rows: blockRows) }

  func explain(
    _ batch: Batch, _ rows: Range<Int>, scratch: UnsafeMutableRawPointer,
    into target: UnsafeMutablePointer<Double>
  ) {
    target.update(repeating: 0, count: features.count * outputCount * blockRows)
    let block = BlockValues(scratch)
    for term in terms {
      let column = batch.columns[features[term.place]]
      let own = target + term.place * blockRows
      let step = features.count * blockRows
      switch term.source {
      case .number(let factor, let addend, let replacement):
        guard column.kind == .number else { continue }
        block.withBlock(of: column, rows: rows, as: Float.self) { read in
          guard case .float(let values) = read else { return }
          for row in 0..<rows.count {
            let value = values[row].isNaN ? replacement : values[row]
            if value.isNaN { continue }
            let seen = factor * Double(value) + addend
            for output in 0..<outputCount {
              own[output * step + row] += term.weights[output] * seen
            }
          }
        }
      case .category(let table):
        for row in 0..<rows.count {
          guard let place = table.place(of: column, row: rows.lowerBound + row) else { continue }
          for output in 0..<outputCount {
            own[output * step + row] += term.weights[place * outputCount + output]
          }
        }
      }
    }
  }
}

extension CategoryTable {
  /// The place of a column's value; nil where it is none of them or is missing.
  func place(of column: Column, row: Int) -> Int? {
    if column.isNull(row) { return nil }
    switch column.values {
    case .int16(let values): return place(Int64(values[row]))
    case .int32(let values): return place(Int64(values[row]))
    case .int64(let values): return place(values[row])
    case .float32(let values):
      return Int64(exactly: values[row].rounded(.towardZero)).flatMap(place)
    case .float64(let values):
      return Int64(exactly: values[row].rounded(.towardZero)).flatMap(place)
    case .bool(let values): return place(values[row] ? 1 : 0)
    case .string(let values): return place(values[row])
    case .bytes: return nil
    }
  }
}

extension OnnxImporter {
  /// The predictor with reasons beside its outputs.
  ///
  /// - Throws: where the graph is not one that can be explained.
  static func explained(
    _ predictor: any Predictor, _ outputs: [Signature.Output], _ graph: Graph,
    features: [GraphPredictor.FeatureSlot], reasons: Int
  ) throws(ModelError) -> (any Predictor, [Signature.Output]) {
    guard let margins = graph.explanation else {
      throw ModelError(
        .unsupported, "the ONNX model cannot be explained",
        detail:
          "Linear models of one output, with scalers, imputers and one-hot encoders before them, "
          + "can; the format keeps no counts of training rows, as trees need.",
        hint: "Trees of LightGBM and XGBoost can be explained in their own formats.")
    }
    let explainer = GraphExplainer(margins, slots: features)
    let predictor = ReasonPredictor(
      predictor: predictor, explainer: explainer, names: features.map(\.name), count: reasons,
      choice: explainer.outputCount > 1 ? .largestMargin : .only)
    return (predictor, outputs + Signature.Output.reasons(reasons))
  }
}

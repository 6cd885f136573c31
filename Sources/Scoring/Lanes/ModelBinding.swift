internal import Inference

/// A model fitted to a scorer: which of the scorer's features each of the model's takes, and which
/// of the model's outputs each column gets.
struct ModelBinding {
  /// What holds of every model of that signature, so also when a version is loaded again.
  struct Fit {
    fileprivate enum Source {
      /// An output of the model, as it is.
      case output(Int)
      /// An output that has a vector a row, written as an array.
      case vector(Int)
      case topClass(rank: Int)
      /// The model has no such output, or nobody wants it any more: the column is null.
      case absent
      case topProbability(rank: Int)
    }

    /// Index of the scorer's feature, one for each of the model's.
    fileprivate let features: [Int]
    /// Whether the model takes the scorer's features just as they come.
    fileprivate let isInOrder: Bool
    /// For each of the scorer's features whether the model's outputs depend on it.
    let reads: [Bool]
    fileprivate let sources: [Source]
    fileprivate let types: [ElementType]
    fileprivate let classes: TopClasses?

    /// - Throws: `.scorer` where an input or output that one needs is not there in the other.
    init(_ model: LoadedModel, to plan: ScorerPlan) throws(ScoringError) {
      let signature = model.model.signature
      var features: [Int] = []
      var reads = Array(repeating: false, count: plan.features.count)
      for feature in signature.features {
        guard let index = plan.features.firstIndex(where: { $0.input == feature.name }) else {
          throw ScoringError(
            .scorer,
            "\(model) wants \"\(feature.name)\", which scorer \"\(plan.name)\" does not give it",
            hint: "Create the scorer again for this version, or set the alias to one that fits.")
        }
        features.append(index)
        if feature.isUsed { reads[index] = true }
      }
      var sources: [Source] = []
      for output in plan.outputs {
        if let rank = output.rank, let part = output.of {
          sources.append(part == .class ? .topClass(rank: rank) : .topProbability(rank: rank))
          continue
        }
        if output.blank == true
          || output.appended == true
            && !signature.outputs.contains(where: { $0.name == output.output })
        {
          sources.append(.absent)
          continue
        }
        guard let index = signature.outputs.firstIndex(where: { $0.name == output.output }),
          signature.outputs[index].type == output.type.answer,
          (signature.outputs[index].shape != nil) == (output.type.vectorElement != nil)
        else {
          throw ScoringError(
            .scorer,
            "\(model) has no \(output.type.rawValue) output \"\(output.output ?? output.column)\", "
              + "which scorer \"\(plan.name)\" writes",
            hint: "Create the scorer again for this version, or set the alias to one that fits.")
        }
        sources.append(output.type.vectorElement == nil ? .output(index) : .vector(index))
      }
      self.features = features
      self.reads = reads
      isInOrder = features == Array(plan.features.indices)
      self.sources = sources
      types = plan.outputs.map(\.type.element)
      let ranks = plan.outputs.compactMap(\.rank)
      classes =
        try ranks.max().map { count throws(ScoringError) in
          try TopClasses(signature, count: count, model: model)
        } ?? nil
    }
  }

  let model: LoadedModel
  let fit: Fit
  var reads: [Bool] { fit.reads }

  /// - Throws: `.scorer` where an input or output that one needs is not there in the other.
  init(_ model: LoadedModel, to plan: ScorerPlan) throws(ScoringError) {
    self.model = model
    fit = try Fit(model, to: plan)
  }

  /// - Parameter fit: Of this version to the scorer.
  init(_ model: LoadedModel, _ fit: Fit) {
    self.model = model
    self.fit = fit
  }

  /// Scores rows given in the scorer's order of features; a column for each of its outputs.
  func predict(_ columns: [Column], rowCount: Int, workspace: Workspace) throws(WorkError)
    -> Predictions
  {
    let inputs = fit.isInOrder ? columns : fit.features.map { columns[$0] }
    let predictions: Predictions
    do throws(ModelError) {
      predictions = try model.model.predict(
        Batch(rowCount: rowCount, columns: inputs), workspace: workspace)
    } catch {
      throw .model(error)
    }
    let top = fit.classes?.rank(predictions.columns, rowCount: rowCount)
    let outputs = zip(fit.sources, fit.types).map { source, type in
      switch source {
      case .output(let index): predictions.columns[index]
      case .vector(let index): predictions.columns[index].asArrays
      case .topClass(let rank): top!.classes(at: rank, as: type)
      case .absent: Column(nullsOf: type, count: rowCount)
      case .topProbability(let rank): top!.probabilities(at: rank)
      }
    }
    return Predictions(columns: outputs, failures: predictions.failures)
  }
}

/// The k most probable classes of each row, ties broken by the model's order of classes.
struct TopClasses {
  /// Indices of the outputs that hold probabilities, in the model's order.
  private let outputs: [Int]
  private let names: [String]
  private let count: Int

  /// - Throws: `.scorer` where the model does not tell probabilities of that many classes.
  init(_ signature: Signature, count: Int, model: LoadedModel) throws(ScoringError) {
    let probabilities = signature.outputs.indices.filter {
      signature.outputs[$0].role == .probability && signature.outputs[$0].className != nil
    }
    guard probabilities.count >= count else {
      throw ScoringError(
        .scorer,
        "\(model) tells probabilities of \(probabilities.count) classes, \(count) are wanted")
    }
    outputs = probabilities
    names = probabilities.map { signature.outputs[$0].className! }
    self.count = count
  }

  struct Ranking {
    /// `order[row * count + rank - 1]` is an index into the classes.
    fileprivate var order: [Int]
    fileprivate var names: [String]
    fileprivate var columns: [Column]
    fileprivate var count: Int
    fileprivate var rowCount: Int
  }

  func rank(_ columns: [Column], rowCount: Int) -> Ranking {
    let probabilities = outputs.map { columns[$0] }
    let values = probabilities.map(\.doubles)
    var order: [Int] = []
    order.reserveCapacity(rowCount * count)
    for row in 0..<rowCount {
      var best: [Int] = []
      for candidate in values.indices {
        let value = values[candidate][row]
        let place = best.firstIndex { values[$0][row] < value } ?? best.count
        guard place < count else { continue }
        best.insert(candidate, at: place)
        if best.count > count { best.removeLast() }
      }
      order.append(contentsOf: best)
    }
    return Ranking(
      order: order, names: names, columns: probabilities, count: count, rowCount: rowCount)
  }
}

extension TopClasses.Ranking {
  func classes(at rank: Int, as type: ElementType) -> Column {
    let chosen = (0..<rowCount).map { names[order[$0 * count + rank - 1]] }
    switch type {
    case .int64: return Column(.int64(chosen.map { Int64($0) ?? 0 }))
    case .float64: return Column(.float64(chosen.map { Double($0) ?? .nan }))
    case .float32: return Column(.float32(chosen.map { Float($0) ?? .nan }))
    case .bool: return Column(.bool(chosen.map { $0 == "true" || $0 == "1" }))
    // No output is of bytes.
    case .string, .bytes: return Column(.string(chosen))
    }
  }

  func probabilities(at rank: Int) -> Column {
    let chosen = (0..<rowCount).map { order[$0 * count + rank - 1] }
    guard case .float32? = columns.first?.values else {
      let values = columns.map(\.doubles)
      return Column(.float64(chosen.enumerated().map { values[$1][$0] }))
    }
    let values: [[Float]] = columns.map { column in
      if case .float32(let v) = column.values { v } else { [] }
    }
    return Column(.float32(chosen.enumerated().map { values[$1][$0] }))
  }
}

extension Column {
  /// The values of a floating-point column.
  fileprivate var doubles: [Double] {
    switch values {
    case .float32(let v): v.map(Double.init)
    case .float64(let v): v
    default: Array(repeating: .nan, count: count)
    }
  }
}

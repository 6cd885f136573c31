/// How margins become the outputs of a boosted model.
struct ForestOutputs: Sendable {
  enum Kind: Sendable, Equatable {
    /// One score, or one for each of several targets.
    case scores
    /// Class 1 where its probability is over one half.
    case binary
    /// Class 1 where the margin is over zero; the margin is the decision value.
    case binaryMargin
    /// The class of the largest output.
    case multiclass
  }

  /// What classes are called.
  enum Classes: Sendable, Equatable {
    /// By their place.
    case indices
    /// By numbers of the model's own, one a class.
    case numbers([Int64])
    /// By words of the model's or the user's, one a class.
    case words([String])
  }

  /// A scale and an addend for each output's sum, before anything else is done to it.
  struct Affine: Sendable, Equatable {
    var scale: Double
    var addends: [Double]
  }

  var link: ForestLink
  var kind: Kind
  /// Margins a row.
  var count: Int
  var classes: Classes
  var affine: Affine?
  /// Whether the margins themselves are what is asked for.
  var answersMargins = false

  /// - Parameters:
  ///   - labels: the user's names for the classes, which come before the model's.
  init(
    link: ForestLink, kind: Kind, count: Int, labels: [String]?, classes: Classes = .indices,
    affine: Affine? = nil
  ) throws(ModelError) {
    (self.link, self.kind, self.count, self.affine) = (link, kind, count, affine)
    self.classes = labels.map { .words($0) } ?? classes
    let named: Int
    switch self.classes {
    case .indices: return
    case .numbers(let numbers): named = numbers.count
    case .words(let words): named = words.count
    }
    guard classCount > 0 else {
      throw ModelError(.mismatch, "\(named) labels for a model without classes")
    }
    guard named == classCount else {
      throw ModelError(.mismatch, "\(named) labels for \(classCount) classes")
    }
  }

  var classCount: Int {
    switch kind {
    case .scores: 0
    case .binary, .binaryMargin: 2
    case .multiclass: count
    }
  }

  private func className(_ index: Int) -> String {
    switch classes {
    case .indices: String(index)
    case .numbers(let numbers): String(numbers[index])
    case .words(let words): words[index]
    }
  }

  func signature(_ type: ElementType) -> [Signature.Output] {
    if answersMargins { return marginSignature(type) }
    var labelType = ElementType.int64
    if case .words = classes { labelType = .string }
    let label = Signature.Output(name: "label", type: labelType, role: .label)
    switch kind {
    case .scores:
      return (0..<count).map {
        Signature.Output(name: count == 1 ? "score" : "score_\($0)", type: type, role: .score)
      }
    case .binary:
      return [
        label,
        Signature.Output(
          name: "probability", type: type, role: .probability, className: className(1)),
      ]
    case .binaryMargin:
      return [
        label,
        Signature.Output(name: "decision", type: type, role: .decision, className: className(1)),
      ]
    case .multiclass: return [label] + classSignature("probability", type, .probability)
    }
  }

  /// `margin`, or one for each output: by class where outputs are classes, else by number.
  private func marginSignature(_ type: ElementType) -> [Signature.Output] {
    switch kind {
    case .binary, .binaryMargin:
      [Signature.Output(name: "margin", type: type, role: .decision, className: className(1))]
    case .multiclass: classSignature("margin", type, .decision)
    case .scores:
      (0..<count).map {
        Signature.Output(name: count == 1 ? "margin" : "margin_\($0)", type: type, role: .decision)
      }
    }
  }

  private func classSignature(
    _ prefix: String, _ type: ElementType, _ role: Signature.Role
  ) -> [Signature.Output] {
    let names = Signature.Output.columnNames(
      prefix: prefix, classes: (0..<count).map(className))
    return (0..<count).map {
      Signature.Output(name: names[$0], type: type, role: role, className: className($0))
    }
  }

  /// - Parameter margins: one array an output, all of one length.
  func columns<Real: ForestReal>(_ margins: consuming [[Real]]) -> [Column] {
    if let affine {
      for k in margins.indices {
        let (scale, addend) = (Real(affine.scale), Real(affine.addends[k]))
        for row in margins[k].indices { margins[k][row] = margins[k][row] * scale + addend }
      }
    }
    if answersMargins { return margins.map { Column(Real.column($0)) } }
    link.apply(&margins)
    switch kind {
    case .scores:
      return margins.map { Column(Real.column($0)) }
    case .binary:
      return [labelColumn(margins[0].map { $0 > 0.5 ? 1 : 0 }), Column(Real.column(margins[0]))]
    case .binaryMargin:
      return [labelColumn(margins[0].map { $0 > 0 ? 1 : 0 }), Column(Real.column(margins[0]))]
    case .multiclass:
      let best = margins[0].indices.map { row in
        var best = 0
        for k in 1..<count where margins[k][row] > margins[best][row] { best = k }
        return best
      }
      return [labelColumn(best)] + margins.map { Column(Real.column($0)) }
    }
  }

  /// The columns of a single margin a row, into the memory of an earlier answer's where they fit.
  func write<Real: ForestReal>(_ margins: consuming [Real], to columns: inout [Column]) {
    guard link.isElementwise, kind != .multiclass else {
      columns = self.columns([margins])
      return
    }
    margins.withUnsafeMutableBufferPointer { margins in
      if let affine {
        let (scale, addend) = (Real(affine.scale), Real(affine.addends[0]))
        for row in margins.indices { margins[row] = margins[row] * scale + addend }
      }
      if !answersMargins { link.apply(toEach: margins) }
    }
    if answersMargins || kind == .scores {
      Self.put(Column(Real.column(margins)), at: 0, of: 1, &columns)
      return
    }
    let bound: Real = kind == .binary ? 0.5 : 0
    if case .indices = classes {
      var labels: [Int64] = []
      if columns.count == 2, case .int64(let known) = columns[0].values {
        columns[0].values = .int64([])
        labels = known
      }
      if labels.count != margins.count { labels = Array(repeating: 0, count: margins.count) }
      labels.withUnsafeMutableBufferPointer { labels in
        margins.withUnsafeBufferPointer { margins in
          for row in labels.indices { labels[row] = margins[row] > bound ? 1 : 0 }
        }
      }
      Self.put(Column(.int64(labels)), at: 0, of: 2, &columns)
    } else {
      Self.put(labelColumn(margins.map { $0 > bound ? 1 : 0 }), at: 0, of: 2, &columns)
    }
    Self.put(Column(Real.column(margins)), at: 1, of: 2, &columns)
  }

  private static func put(_ column: Column, at index: Int, of count: Int, _ columns: inout [Column])
  {
    if columns.count != count { columns = Array(repeating: Column(.bool([])), count: count) }
    columns[index] = column
  }

  private func labelColumn(_ places: [Int]) -> Column {
    switch classes {
    case .indices: Column(.int64(places.map(Int64.init)))
    case .numbers(let numbers): Column(.int64(places.map { numbers[$0] }))
    case .words(let words): Column(.string(places.map { words[$0] }))
    }
  }
}

extension Signature.Output {
  /// Names fit for columns, all different: `probability_setosa`. What no identifier should hold
  /// becomes `_`; a name that is taken gets a number.
  static func columnNames(prefix: String, classes: [String]) -> [String] {
    var taken: Set<String> = []
    return classes.map { name in
      let fit = String(
        name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
      // PostgreSQL cuts identifiers at 63 bytes.
      let stem = String("\(prefix)_\(fit)".prefix(56))
      var candidate = stem
      var number = 2
      while !taken.insert(candidate).inserted {
        candidate = "\(stem)_\(number)"
        number += 1
      }
      return candidate
    }
  }
}

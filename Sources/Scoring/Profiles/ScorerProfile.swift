internal import Inference
internal import Postgres

/// A column that is counted: an input in the order of the scorer's features, or one of its outputs.
struct ProfiledColumn: Hashable, Comparable, Sendable {
  enum Kind: String, Sendable { case input, output }

  var kind: Kind
  var index: Int

  /// As the database orders them.
  static func < (a: ProfiledColumn, b: ProfiledColumn) -> Bool {
    (a.kind.rawValue, a.index) < (b.kind.rawValue, b.index)
  }
}

/// How a scorer's columns are counted: in the bins of its current reference rows.
struct ScorerProfile: Sendable {
  /// A column of the reference rows.
  struct Baseline: Sendable {
    var valueCount: Int64
    var missingCount: Int64
    var mean: Double
    var deviation: Double
    var bins: [Int64]
  }

  /// 0 where the scorer has no reference rows yet.
  var id: Int32 = 0
  /// A kind of bins for each feature and output.
  var inputs: [ColumnBins]
  var outputs: [ColumnBins]
  /// Outputs that are vectors: nothing is counted of these.
  var vectors: Set<Int> = []
  var baseline: [ProfiledColumn: Baseline] = [:]

  /// Until there are reference rows, all values of a column are in one bin.
  init(inputs: [ElementType], outputs: [ElementType]) {
    func one(_ type: ElementType) -> ColumnBins { type == .string ? .labels([:]) : .edges([]) }
    self.inputs = inputs.map(one)
    self.outputs = outputs.map(one)
  }

  static func load(_ scorer: Int32, for plan: ScorerPlan, on connection: Connection)
    throws(PostgresError) -> ScorerProfile
  {
    var profile = ScorerProfile(
      inputs: plan.features.map(\.type), outputs: plan.outputs.map(\.type.element))
    profile.vectors = Set(
      plan.outputs.indices.filter { plan.outputs[$0].type.vectorElement != nil })
    let rows = try connection.run("select * from rowcast.load_profile(\(scorer))")
    for row in 0..<rows.count {
      profile.id = try rows.value(row, "profile_id")
      let index = Int(try rows.value(row, "place", as: Int16.self)) - 1
      let isInput = try rows.value(row, "kind", as: String.self) == "input"
      let bins: ColumnBins
      if let edges = try rows.value(row, "edges", as: [Double]?.self) {
        bins = .edges(edges)
      } else {
        let labels = try rows.value(row, "labels", as: [String].self)
        bins = .labels(
          Dictionary(labels.enumerated().map { ($1, $0) }, uniquingKeysWith: { a, _ in a }))
      }
      let count = try rows.value(row, "value_count", as: Int64.self)
      let m2 = try rows.value(row, "m2", as: Double?.self) ?? 0
      profile.baseline[ProfiledColumn(kind: isInput ? .input : .output, index: index)] = Baseline(
        valueCount: count, missingCount: try rows.value(row, "missing_count"),
        mean: try rows.value(row, "mean", as: Double?.self) ?? 0,
        deviation: (m2 / Double(max(1, count))).squareRoot(), bins: try rows.value(row, "bins"))
      // Of a column that came since, there are no reference rows: it stays in one bin.
      if isInput, profile.inputs.indices.contains(index) { profile.inputs[index] = bins }
      if !isInput, profile.outputs.indices.contains(index) { profile.outputs[index] = bins }
    }
    return profile
  }

  /// Counts a chunk's rows: all that were read for the inputs, those that were scored for the outputs.
  func measure(_ rows: ChunkRows, _ result: ChunkResult) -> [ProfiledColumn: ColumnStatistics] {
    guard rows.count > 0 else { return [:] }
    var measured: [ProfiledColumn: ColumnStatistics] = [:]
    measured.reserveCapacity(inputs.count + outputs.count)
    func add(_ column: Column, _ bins: ColumnBins, _ place: ProfiledColumn) {
      var statistics = ColumnStatistics(binCount: bins.count)
      statistics.add(column, by: bins)
      measured[place] = statistics
    }
    for index in inputs.indices where rows.reads[index] {
      add(rows.features[index], inputs[index], ProfiledColumn(kind: .input, index: index))
    }
    let scored = result.scoredRows(of: rows.count)
    for index in outputs.indices where index < result.outputs.count && !vectors.contains(index) {
      let column = result.outputs[index]
      add(
        scored.map { column.taking(rows: $0) } ?? column, outputs[index],
        ProfiledColumn(kind: .output, index: index))
    }
    return measured
  }
}

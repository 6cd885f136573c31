internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Rows that a model's trainer scored: the engine must answer alike, or the version is refused.
struct GoldenRows: Sendable {
  /// Names and values of one row, in the order of the file or of the stored object.
  struct Row: Codable, Sendable {
    var inputs: [String: GoldenValue]
    var outputs: [String: GoldenValue]
  }

  var rows: [Row]

  /// How far a number may lie from the trainer's, relative to the trainer's.
  ///
  /// LightGBM and CatBoost sum in double precision in an order that the engine keeps; the others
  /// round to single precision, where the last bits depend on the order of sums: deep networks, whose
  /// layers add up thousands of products each, by some more.
  static func tolerance(of model: Model) -> Double {
    switch model.format {
    case .lightgbm, .catboost: 1e-12
    case .onnx where model.isNetwork: 1e-4
    case .onnx, .xgboost: 1e-6
    }
  }
}

// MARK: - Where they come from

extension GoldenRows {
  /// Reads a file whose first line names features and outputs of the model. Outputs may be left
  /// out, all but one; other columns are passed over.
  ///
  /// - Throws: `.file` where a feature is missing, no output is there or a value cannot be read;
  ///   says the line.
  static func read(csv bytes: [UInt8], for signature: Signature) throws(ScoringError) -> GoldenRows
  {
    var reader = CSVReader(bytes)
    let header = try CSVHeader(&reader)
    var features: [(name: String, type: ElementType, index: Int)] = []
    for feature in signature.features {
      features.append((feature.name, feature.type, try header.index(of: feature.name)))
    }
    let outputs = signature.outputs.compactMap { output in
      header.names.firstIndex(of: output.name).map { (output, $0) }
    }
    guard !outputs.isEmpty else {
      throw ScoringError(
        .file, "the golden rows have no output of the model",
        hint: "Name columns as the model's outputs: "
          + signature.outputs.map(\.name).joined(separator: ", ") + ".")
    }
    var golden = GoldenRows(rows: [])
    var fields: [CSVReader.Field] = []
    while try reader.next(into: &fields) {
      guard fields.count == header.names.count else {
        throw ScoringError(
          .file,
          "line \(reader.line) has \(fields.count) fields, the first line \(header.names.count)")
      }
      var row = Row(inputs: [:], outputs: [:])
      for (name, type, index) in features {
        row.inputs[name] = try value(reader, fields[index], type, name)
      }
      for (output, index) in outputs {
        row.outputs[output.name] =
          output.shape == nil
          ? try value(reader, fields[index], output.type, output.name)
          : try list(reader, fields[index], output.name)
      }
      golden.rows.append(row)
    }
    guard !golden.rows.isEmpty else {
      throw ScoringError(.file, "the golden rows end after the first line")
    }
    return golden
  }

  private static func list(
    _ reader: CSVReader, _ field: CSVReader.Field, _ name: String
  ) throws(ScoringError) -> GoldenValue {
    if reader.isMissing(field) { return .missing }
    guard let list = GoldenValue.list(reader.text(field)) else {
      throw ScoringError(
        .file, "line \(reader.line): column \"\(name)\" is no array",
        hint: "Write it as {0.5,-1} or [0.5, -1].")
    }
    return list
  }

  private static func value(
    _ reader: CSVReader, _ field: CSVReader.Field, _ type: ElementType, _ name: String
  ) throws(ScoringError) -> GoldenValue {
    if reader.isMissing(field) { return .missing }
    let text = reader.text(field)
    let value: GoldenValue? =
      switch type {
      case .float32, .float64: Number.double(reader, field).map(GoldenValue.number)
      case .int64: Int64(text).map(GoldenValue.integer)
      case .bool: GoldenValue.bool(text)
      case .string, .bytes: .text(text)
      }
    guard let value else {
      throw ScoringError(
        .file, "line \(reader.line): column \"\(name)\" is not \(type)",
        detail: "It is \"\(text)\".")
    }
    return value
  }

  /// The rows that the registry keeps for a version.
  static func stored(for id: ModelVersionID, on connection: Connection) throws(WorkError)
    -> GoldenRows
  {
    let stored = try database { () throws(PostgresError) in
      let rows = try connection.run(
        "select inputs, outputs from rowcast.golden_rows(\(id.model), \(id.version))")
      var texts: [(String, String)] = []
      for row in 0..<rows.count {
        texts.append(
          (try rows.value(row, 0, as: String.self), try rows.value(row, 1, as: String.self)))
      }
      return texts
    }
    do {
      let decoder = JSONDecoder()
      return GoldenRows(
        rows: try stored.map { inputs, outputs in
          Row(
            inputs: try decoder.decode([String: GoldenValue].self, from: Data(inputs.utf8)),
            outputs: try decoder.decode([String: GoldenValue].self, from: Data(outputs.utf8)))
        })
    } catch {
      throw .scoring(
        ScoringError(
          .golden, "a golden row holds neither number, text, array, true, false nor null",
          detail: "\(error)"))
    }
  }

  /// As `register_model` takes them.
  func json() -> String {
    // Numbers, texts and names only: what JSON has no number for is a text.
    String(decoding: try! JSONEncoder().encode(rows), as: UTF8.self)
  }
}

// MARK: - Verification

extension GoldenRows {
  /// Scores the rows and compares.
  ///
  /// - Parameter name: How messages name the model.
  /// - Throws: `.scoring` of code `.golden` with the first row and output that disagree.
  func verify(_ model: Model, named name: String) throws(WorkError) {
    do throws(ScoringError) {
      try compare(model, name)
    } catch {
      throw .scoring(error)
    }
  }

  private func compare(_ model: Model, _ name: String) throws(ScoringError) {
    guard !rows.isEmpty else { return }
    var columns: [Column] = []
    for feature in model.signature.features {
      columns.append(try column(of: feature))
    }
    let predictions: Predictions
    do throws(ModelError) {
      predictions = try model.predict(
        Batch(rowCount: rows.count, columns: columns), workspace: Workspace())
    } catch {
      throw ScoringError(.golden, "golden rows of \(name): \(error.message)")
    }
    if let failure = predictions.failures.first {
      throw ScoringError(
        .golden, "golden row \(failure.row + 1) of \(name) cannot be scored: \(failure.reason)")
    }
    let tolerance = Self.tolerance(of: model)
    for (index, row) in rows.enumerated() {
      for (output, wanted) in row.outputs.sorted(by: { $0.key < $1.key }) {
        guard let place = model.signature.outputs.firstIndex(where: { $0.name == output }) else {
          throw ScoringError(
            .golden, "golden row \(index + 1) of \(name) has output \"\(output)\", the model none")
        }
        let found = GoldenValue(predictions.columns[place], row: index)
        guard found.agrees(with: wanted, within: tolerance) else {
          throw ScoringError(
            .golden,
            "golden row \(index + 1) of \(name): output \"\(output)\" is \(found), "
              + "the trainer had \(wanted)",
            hint: "Was the file exported from the model that scored these rows?")
        }
      }
    }
  }

  private func column(of feature: Signature.Feature) throws(ScoringError) -> Column {
    guard feature.shape == nil else {
      throw ScoringError(
        .golden, "golden rows of a network that reads tensors are not compared",
        hint: "Say how images or texts become its input, or leave the golden rows out.")
    }
    var column = Column(blank: feature.type, count: rows.count)
    for (index, row) in rows.enumerated() {
      guard let value = row.inputs[feature.name] else {
        throw ScoringError(.golden, "golden row \(index + 1) has no \"\(feature.name)\"")
      }
      guard value.store(in: &column, row: index) else {
        throw ScoringError(
          .golden, "golden row \(index + 1): \"\(feature.name)\" is not \(feature.type)")
      }
    }
    return column
  }
}

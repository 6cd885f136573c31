import ArgumentParser
import Foundation
import Inference

struct Predict: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score a CSV file with a model file, without a database.",
    discussion: """
      The first line of the CSV names its columns; those that the model reads are found by name, \
      the others are passed through. An empty field is a missing value. Each row is written to \
      standard output with the model's outputs behind it; a row that cannot be scored has empty \
      outputs, and its line number and reason go to standard error.

      EXAMPLE
        rowcast predict churn.onnx customers.csv > scored.csv
        psql … -c "copy customer to stdout (format csv, header)" | rowcast predict churn.onnx -

      EXIT STATUS
        0 each row was scored, 1 some rows failed, 65 the model or the file is unfit
      """)

  @Argument(help: "An ONNX, LightGBM text or XGBoost JSON model.")
  var model: String

  @Argument(help: "A CSV file with a header, or - for standard input.")
  var file: String

  @Option(help: ArgumentHelp("Class names, one a line.", valueName: "file"))
  var labels: String?

  @Flag(help: "Print one JSON object a row.")
  var json = false

  /// Rows scored at once: enough to keep the engine busy, little enough to stream.
  private static let batchRows = 4096

  func run() throws {
    let labels = try labels.map(ModelFile.labels(path:))
    let model = try Model.load(ModelFile.bytes(path: model), labels: labels)
    do {
      let failed = try score(with: model)
      if failed > 0 { throw ExitCode(CommandError.Status.failed.rawValue) }
    } catch let error as CSVReader.Malformed {
      throw CommandError(.badData, "\"\(file)\", line \(error.line): \(error.reason)")
    }
  }

  /// Scores the whole file; returns how many rows failed.
  private func score(with model: Model) throws -> Int {
    var reader = try CSVReader(path: file)
    guard let header = try reader.next() else {
      throw CommandError(.badData, "\"\(file)\" is empty", hint: "The first line names the columns.")
    }
    let names = header.fields.map { $0 ?? "" }
    let builder = try RowBuilder(signature: model.signature, header: names)
    let writer = PredictionWriter(
      columns: names, outputs: model.signature.outputs.map(\.name), asJSON: json)
    let workspace = Workspace()
    var failed = 0
    var records: [CSVReader.Record] = []
    writer.writeHeader()
    while true {
      let record = try reader.next()
      if let record {
        guard record.fields.count == names.count else {
          throw CSVReader.Malformed(
            line: record.line, reason: "\(record.fields.count) fields for \(names.count) columns")
        }
        records.append(record)
      }
      if records.count == Self.batchRows || record == nil && !records.isEmpty {
        let (batch, unreadable) = builder.batch(records)
        var predictions = try model.predict(batch, workspace: workspace)
        let already = Set(unreadable.map(\.row))
        predictions.failures =
          unreadable + predictions.failures.filter { !already.contains($0.row) }
        try writer.write(records, predictions)
        failed += predictions.failures.count
        records.removeAll(keepingCapacity: true)
      }
      if record == nil { return failed }
    }
  }
}

/// Writes scored rows to standard output and failures to standard error.
private struct PredictionWriter {
  let columns: [String]
  let outputs: [String]
  let asJSON: Bool

  func writeHeader() {
    if !asJSON { Terminal.standardOutput.write(CSVText.line(columns + outputs)) }
  }

  func write(_ records: [CSVReader.Record], _ predictions: Predictions) throws {
    let failed = Set(predictions.failures.map(\.row))
    var text = ""
    for (row, record) in records.enumerated() {
      let values = predictions.columns.map { failed.contains(row) ? nil : $0.text(row) }
      if asJSON {
        var object: [String: JSONScalar] = [:]
        for (name, field) in zip(columns, record.fields) { object[name] = JSONScalar(field) }
        for (name, column) in zip(outputs, predictions.columns) {
          object[name] = failed.contains(row) ? .null : JSONScalar(column, row)
        }
        text += try JSONText.of(object, pretty: false) + "\n"
      } else {
        text += CSVText.line(record.fields + values)
      }
    }
    Terminal.standardOutput.write(text)
    for failure in predictions.failures.sorted(by: { $0.row < $1.row }) {
      Terminal.standardError.line(
        "line \(records[failure.row].line): \(failure.code.rawValue): \(failure.reason)")
    }
  }
}

/// One value in a JSON object; text of the file stays text.
private enum JSONScalar: Encodable {
  case null, bool(Bool), integer(Int64), number(Double), text(String)

  init(_ field: String?) { self = field.map(JSONScalar.text) ?? .null }

  init(_ column: Column, _ row: Int) {
    if column.isNull(row) {
      self = .null
      return
    }
    switch column.values {
    case .int16(let values): self = .integer(Int64(values[row]))
    case .int32(let values): self = .integer(Int64(values[row]))
    case .int64(let values): self = .integer(values[row])
    case .bool(let values): self = .bool(values[row])
    case .string(let values): self = .text(values[row])
    case .float32, .float64:
      // The shortest text that reads back as the same value; JSON has no other for the rest.
      let text = column.text(row) ?? ""
      let number = Double(text)
      self = number.map { $0.isFinite ? .number($0) : .text(text) } ?? .text(text)
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }
}

internal import FoundationEssentials
internal import Inference
internal import Postgres

/// Scores questions: those of one model at once.
struct QuestionScorer {
  private let models: ModelCache
  private let workspace = Workspace()

  init(models: ModelCache) { self.models = models }

  /// - Throws: Only where the connection is at fault.
  func answer(
    _ questions: [Question], on connection: Connection
  ) throws(PostgresError) -> [(question: UUID, answer: Answer)] {
    struct Kind: Hashable {
      var model: ModelVersionID
      var reasons: Int
    }
    var answers: [(question: UUID, answer: Answer)] = []
    let groups = Dictionary(grouping: questions) { Kind(model: $0.model, reasons: $0.reasons) }
    for (kind, members) in groups {
      do throws(WorkError) {
        let model = try models.model(kind.model, reasons: kind.reasons, on: connection)
        let rows = try Self.answer(members.map(\.lines), model, workspace)
        answers += zip(members, rows).map { ($0.id, .rows($1)) }
      } catch {
        if case .postgres(let error) = error, !error.sqlState.hasPrefix("RC") { throw error }
        answers += members.map {
          (
            $0.id,
            .refusal(
              code: "RC102", message: "the model cannot be used: \(error.message)",
              hint: error.hint)
          )
        }
      }
    }
    return answers
  }

  /// The answers to questions of one model, each an array of JSON.
  static func answer(
    _ questions: [String], _ model: LoadedModel, _ workspace: Workspace
  ) throws(WorkError) -> [String] {
    let signature = model.model.signature
    let batch: RecordBatch
    do throws(ScoringError) {
      let plan = try RecordPlan(
        names: signature.features.map(\.name), features: signature.features, kept: [],
        rewrites: true, format: .ndjson)
      batch = try RecordReader(format: .ndjson, plan: plan).read(
        RecordBlocks.Block(bytes: Array(questions.joined(separator: "\n").utf8), line: 1),
        isFirst: true)
    } catch {
      throw .scoring(error)
    }
    let predictions: Predictions
    do throws(ModelError) {
      predictions = try model.model.predict(
        Batch(rowCount: batch.rowCount, columns: batch.columns), workspace: workspace)
    } catch {
      throw .model(error)
    }
    var failures = batch.unreadable.mapValues { (code: "wrong_type", reason: $0) }
    for failure in predictions.failures where failures[failure.row] == nil {
      failures[failure.row] = (failure.code.rawValue, failure.reason)
    }
    var answers: [String] = []
    var row = 0
    for question in questions {
      var bytes: [UInt8] = [UInt8(ascii: "[")]
      for _ in 0..<(question.utf8.count { $0 == UInt8(ascii: "\n") } + 1) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        if let (code, reason) = failures[row] {
          bytes.append(UInt8(ascii: "["))
          AnswerWriter.append(json: code, to: &bytes)
          bytes.append(UInt8(ascii: ","))
          AnswerWriter.append(json: reason, to: &bytes)
          bytes.append(UInt8(ascii: "]"))
        } else {
          append(signature.outputs, predictions.columns, row, to: &bytes)
        }
        row += 1
      }
      bytes.append(UInt8(ascii: "]"))
      answers.append(String(decoding: bytes, as: UTF8.self))
    }
    return answers
  }

  private static func append(
    _ outputs: [Signature.Output], _ columns: [Column], _ row: Int, to bytes: inout [UInt8]
  ) {
    bytes.append(UInt8(ascii: "{"))
    for (index, output) in outputs.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      AnswerWriter.append(json: output.name, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      if columns[index].isNull(row) {
        bytes.append(contentsOf: "null".utf8)
      } else {
        AnswerWriter.append(json: columns[index], row, to: &bytes)
      }
    }
    bytes.append(UInt8(ascii: "}"))
  }
}

internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore
internal import Scoring

/// Rows by name: records of JSON, NDJSON or CSV in, the same with the model's outputs out.
struct RecordEndpoints: Sendable {
  let server: ServerParts

  private struct Version: Encodable {
    var name = "rowcast"
    var version: String
  }

  var routes: [Route] {
    var routes: [Route] = [
      .get(
        "/version", .key(.read),
        Operation(
          "release", .server, "Which release this is.", answers: [.json(Schema.ref("Version"))])
      ) { _, _, _ in
        JSONAnswer.response(Version(version: server.release))
      }
    ]
    for (path, id) in [
      ("/v1/models/{model}", "predict"),
      ("/v1/models/{model}/versions/{version}", "predictVersion"),
    ] {
      routes.append(.scoring(path + "/predict", Self.operation(id), server, endpoint))
    }
    return routes
  }

  private var endpoint: ScoringEndpoint {
    ScoringEndpoint { parameters, caller throws(Problem) in
      let name = try parameters.required("model")
      try caller.requireModel(name)
      return Asked(target: try server.library.target(name, parameters["version"])) {
        head, body, model, _, _ throws(Problem) in
        try Self.read(head, body, model)
      }
    }
  }

  private static func operation(_ id: String) -> Operation {
    let contents: [Operation.Content] = [
      .init(RecordMedia.json.rawValue, Schema.ref("Records")),
      .init(RecordMedia.ndjson.rawValue, Schema.text), .init(RecordMedia.csv.rawValue, Schema.text),
    ]
    return Operation(
      id, .models, "Scores records, whose members are named as the model's features.",
      details: "The answer is in the form that Accept asks for, else in the request's.",
      parameters: [
        .query("keep", "Members that the answer begins with, between commas.", Schema.text)
      ],
      body: .init(contents: contents),
      answers: [
        .init(
          status: 200, summary: "The records' predictions, or why there is none.",
          contents: contents, headers: ["X-Model-Version": "The version that answered."])
      ], refusals: [422, 504])
  }

  private static func read(
    _ head: RequestHead, _ body: [UInt8], _ model: LoadedModel
  ) throws(Problem) -> ReadRequest {
    let given = try RecordMedia(contentType: head.fields[.contentType])
    let wanted = RecordMedia(accept: head.fields[.accept]) ?? given
    let keep = try RequestQuery(head, known: ["keep"], passesOver: true).list("keep")
    guard Set(keep).count == keep.count else { throw .badRequest("\"keep\" has a name twice") }
    let (lines, isSingle) = given == .json ? try JSONRecords.lines(of: body) : (body, false)
    let records: RecordRequest
    do throws(ScoringError) {
      records = try RecordRequest(
        lines, format: given.format, signature: model.model.signature,
        kept: keep)
    } catch {
      var message = error.message.replacing("the file", with: "the body")
      // Lines of a document are not those of its sender.
      if given == .json, message.hasPrefix("line ") { message = "record " + message.dropFirst(5) }
      throw Problem.badRequest(
        message,
        hint: error.hint?.replacing("--keep", with: "\"keep\""))
    }
    return ReadRequest(model: model, batch: records.batch, unreadable: records.unreadable) {
      predictions throws(Problem) in
      var bytes = records.answer(predictions, as: wanted.format)
      if wanted == .json {
        if isSingle, let reason = records.failures(in: predictions)[0] {
          throw Problem(
            .unprocessableContent, "not_scored", "the record cannot be scored: \(reason)")
        }
        bytes = JSONRecords.document(of: bytes, isSingle: isSingle)
      }
      return Answer(
        type: wanted.rawValue,
        fields: [HTTPField(name: .modelVersion, value: String(model.id.version))], bytes: bytes)
    }
  }
}

extension HTTPField.Name {
  /// The version that answered, where the body has no place for it.
  static let modelVersion = HTTPField.Name("X-Model-Version")!
}

/// The media types of records.
enum RecordMedia: String {
  case json = "application/json"
  case ndjson = "application/x-ndjson"
  case csv = "text/csv"

  var format: RecordFormat { self == .csv ? .csv : .ndjson }

  /// - Throws: 415 for what is none of them. Without a type it is JSON.
  init(contentType: String?) throws(Problem) {
    guard let contentType else {
      self = .json
      return
    }
    guard let media = Self.named(contentType) else {
      throw Problem(
        .unsupportedMediaType, "unsupported", "records of this Content-Type are not read",
        hint: "Send application/json, application/x-ndjson or text/csv.")
    }
    self = media
  }

  /// The first one that is known; nil where any will do.
  init?(accept: String?) {
    let known = accept?.split(separator: ",").compactMap { Self.named(String($0)) }.first
    guard let known else { return nil }
    self = known
  }

  private static func named(_ field: String) -> RecordMedia? {
    let type = field.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
    return switch type {
    // What curl says of any data, unless told otherwise.
    case "application/json", "text/json", "application/x-www-form-urlencoded": .json
    case "application/x-ndjson", "application/ndjson", "application/jsonl",
      "application/x-jsonlines":
      .ndjson
    case "text/csv", "application/csv": .csv
    default: nil
    }
  }
}

/// Records as one document of JSON: an object, or an array of objects.
enum JSONRecords {
  /// An object a line, as readers of records want it.
  static func lines(of body: [UInt8]) throws(Problem) -> (lines: [UInt8], isSingle: Bool) {
    var reader = JSONReader(body, limits: ModelLimits())
    do throws(ModelError) {
      if try reader.nextKind() == .object {
        try reader.skip()
        try reader.end()
        return (body.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }, true)
      }
      var lines: [UInt8] = []
      lines.reserveCapacity(body.count + 1)
      try reader.array { reader, index throws(ModelError) in
        guard try reader.nextKind() == .object else {
          throw ModelError(.mismatch, "element \(index) is not an object")
        }
        let start = reader.offset
        try reader.skip()
        // Outside of strings, where alone they may stand, line breaks are white space.
        for byte in body[start..<reader.offset] {
          lines.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte)
        }
        lines.append(0x0A)
      }
      try reader.end()
      guard !lines.isEmpty else { throw ModelError(.mismatch, "the array holds no record") }
      return (lines, false)
    } catch {
      throw Problem(error)
    }
  }

  /// Lines as one document again.
  static func document(of lines: [UInt8], isSingle: Bool) -> [UInt8] {
    let rows = lines.split(separator: 0x0A)
    if isSingle { return Array(rows.first ?? []) }
    return [UInt8(ascii: "[")] + rows.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]
  }
}

internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore
internal import Scoring

/// The Open Inference Protocol, version 2, over HTTP.
struct InferenceEndpoints: Sendable {
  let server: ServerParts

  var routes: [Route] {
    var routes: [Route] = [
      .get(
        "/v2", .key(.read),
        Operation(
          "server", .inference, "The server, and what it speaks beside the protocol.",
          answers: [.json(Schema.ref("ServerMetadata"))])
      ) { _, _, _ in
        JSONAnswer.response(
          ServerMetadata(
            name: "rowcast", version: server.release,
            extensions: ["binary_tensor_data", "classification"]))
      },
      .state(
        "/v2/health/live",
        Operation(
          "live", .inference, "Whether the process answers.",
          answers: [.json(Schema.ref("Health"))])
      ) { .json(Array(#"{"live":true}"#.utf8)) },
      .state(
        "/v2/health/ready",
        Operation(
          "ready", .inference, "Whether models and keys are known, and the database is there.",
          answers: [
            .json(Schema.ref("Health")),
            .json(Schema.ref("Health"), "It is not ready.", status: 503),
          ])
      ) {
        // Texts of the protocol name it either way.
        let isReady = server.isReady
        return .json(
          Array(#"{"live":\#(isReady),"ready":\#(isReady)}"#.utf8),
          status: isReady ? .ok : .serviceUnavailable)
      },
    ]
    for (path, suffix) in [
      ("/v2/models/{model}", ""), ("/v2/models/{model}/versions/{version}", "Version"),
    ] {
      routes += [
        .get(path, .key(.read), Self.metadataOperation(suffix)) { _, context, caller in
          try await metadata(try target(PathParameters(context, names: Self.names), caller))
        },
        .get(path + "/ready", .key(.read), Self.readyOperation(suffix)) { _, context, caller in
          let target = try target(PathParameters(context, names: Self.names), caller)
          return JSONAnswer.response(ModelReadiness(name: target.name, ready: true))
        },
        .scoring(path + "/infer", Self.inferOperation(suffix), server, endpoint),
      ]
    }
    return routes
  }

  private static func metadataOperation(_ suffix: String) -> Operation {
    Operation(
      "model\(suffix)Metadata", .inference, "A model's tensors, and its versions.",
      answers: [.json(Schema.ref("ModelMetadata"))], refusals: [422])
  }

  private static func readyOperation(_ suffix: String) -> Operation {
    Operation(
      "model\(suffix)Ready", .inference, "Whether a model can be asked.",
      answers: [.json(Schema.ref("ModelReadiness"))])
  }

  private static func inferOperation(_ suffix: String) -> Operation {
    let size = "Bytes of JSON before binary data."
    return Operation(
      "infer\(suffix)", .inference, "Scores the rows of tensors.",
      parameters: [.header("Inference-Header-Content-Length", size, Schema.count)],
      body: .init(contents: [
        .init("application/json", Schema.ref("InferenceRequest")),
        .init("application/octet-stream", Schema.bytes),
      ]),
      answers: [
        .init(
          status: 200, summary: "The outputs.",
          contents: [
            .init("application/json", Schema.ref("InferenceResponse")),
            .init("application/octet-stream", Schema.bytes),
          ])
      ], refusals: [422, 504])
  }

  private static let names = ["model", "version"]

  /// The version that the path means, if the caller may use the model.
  private func target(
    _ parameters: PathParameters, _ caller: Caller
  ) throws(Problem) -> Catalog.Target {
    let name = try parameters.required("model")
    try caller.requireModel(name)
    return try server.library.target(name, parameters["version"])
  }

  private struct ServerMetadata: Encodable {
    var name: String
    var version: String
    var extensions: [String]
  }

  private struct ModelReadiness: Encodable {
    var name: String
    var ready: Bool
  }

  private struct ModelMetadata: Encodable {
    var name: String
    var versions: [String]
    var platform: String
    var inputs: [TensorPlan.Description]
    var outputs: [TensorPlan.Description]
  }

  private func metadata(_ target: Catalog.Target) async throws -> Response {
    let (_, plan) = try await server.library.model(target)
    let versions = try server.library.catalog.entry(target.name).readyVersions
    return JSONAnswer.response(
      ModelMetadata(
        name: target.name, versions: versions.map(String.init), platform: target.format,
        inputs: plan.inputDescriptions, outputs: plan.outputDescriptions))
  }

  private var endpoint: ScoringEndpoint {
    ScoringEndpoint { parameters, caller throws(Problem) in
      let target = try target(parameters, caller)
      return Asked(target: target) { head, body, model, plan, patterns throws(Problem) in
        try Self.read(head, body, target, model, plan, patterns)
      }
    }
  }

  private static func read(
    _ head: RequestHead, _ body: [UInt8], _ target: Catalog.Target, _ model: LoadedModel,
    _ plan: TensorPlan, _ patterns: InferPatterns?
  ) throws(Problem) -> ReadRequest {
    var headerByteCount: Int?
    if let field = head.fields[.inferenceHeaderContentLength] {
      guard let count = Int(field) else {
        throw .badRequest("Inference-Header-Content-Length is not a number")
      }
      headerByteCount = count
    } else if let read = patterns?.read(body, model, plan) {
      return read
    }
    let wanted = try InferRequest.read(body, headerByteCount: headerByteCount)
    // What cannot be answered is not scored.
    let outputs = try plan.outputs(wanted.outputs)
    var batch = Batch(rowCount: 0, columns: [])
    try plan.read(wanted.inputs, into: &batch)
    let response = InferResponse(
      to: wanted, of: target, outputs: outputs, rowCount: batch.rowCount)
    let isRanked = wanted.outputs?.contains { $0.classes != nil } ?? false
    let read = ReadRequest(
      model: model, batch: batch, timeout: wanted.timeout, isRanked: isRanked
    ) { predictions throws(Problem) in
      try response.answer(predictions)
    }
    patterns?.learn(wanted, body, read)
    return read
  }
}

extension HTTPField.Name {
  static let inferenceHeaderContentLength = HTTPField.Name("Inference-Header-Content-Length")!
}

/// Answers of a few members.
enum JSONAnswer {
  static func response(
    _ value: some Encodable, status: HTTPResponse.Status = .ok
  ) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings, truths and integers: encoding cannot fail.
    let bytes = (try? encoder.encode(value)) ?? Data()
    return Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}

/// Schemas of JSON, as OpenAPI 3.1 has them: JSON Schema of 2020-12.
enum Schema {
  /// One of `shared`.
  static func ref(_ name: String) -> JSONTree { ["$ref": "#/components/schemas/\(name)"] }

  static func array(of element: JSONTree, _ least: Int = 0) -> JSONTree {
    ["type": "array", "items": element, "minItems": .integer(least)]
  }

  /// - Parameter isClosed: Whether it has no other members: true of what the server writes, not of what it
  ///   reads, since a client may be newer.
  static func object(
    _ members: [String: JSONTree], required: [String] = [], isClosed: Bool = false
  ) -> JSONTree {
    var schema: JSONTree = ["type": "object", "properties": .object(members)]
    if !required.isEmpty { schema["required"] = .array(required.map { .string($0) }) }
    if isClosed { schema["additionalProperties"] = false }
    return schema
  }

  static func described(_ schema: JSONTree, _ summary: String) -> JSONTree {
    var schema = schema
    schema["description"] = .string(summary)
    return schema
  }

  /// The same, or null.
  static func optional(_ type: String) -> JSONTree { ["type": [.string(type), "null"]] }

  static func oneOf(_ words: some Sequence<String>) -> JSONTree {
    ["type": "string", "enum": .array(words.map { .string($0) })]
  }

  static func any(_ schemas: JSONTree...) -> JSONTree { ["anyOf": .array(schemas)] }

  static let text: JSONTree = ["type": "string"]
  static let texts: JSONTree = array(of: text)
  static let truth: JSONTree = ["type": "boolean"]
  static let integer: JSONTree = ["type": "integer"]
  static let number: JSONTree = ["type": "number"]
  /// Microseconds; some clients send a text, which is passed over.
  static let timeout: JSONTree = ["type": ["integer", "string"]]
  static let moment: JSONTree = ["type": "string", "format": "date-time"]
  /// What a path may name.
  static let name: JSONTree = ["type": "string", "minLength": 1]
  /// Bytes that are no text.
  static let bytes: JSONTree = [:]
  static let positive: JSONTree = ["type": "integer", "minimum": 1]
  /// What an `integer` of SQL holds.
  static let small: JSONTree = [
    "type": "integer", "minimum": 1, "maximum": .integer(Int(Int32.max)),
  ]
  static let count: JSONTree = ["type": "integer", "minimum": 0]

  /// Schemas that routes name by `ref`.
  static let shared = [base, JobEndpoints.schemas, RegistryEndpoints.schemas]
    .reduce(into: [:]) { $0.merge($1) { $1 } }

  private static let base: [String: JSONTree] = [
    "Problem": described(
      object(
        [
          "error": described(text, "What is wrong: one clause."),
          "code": described(text, "One word to switch on."),
          "hint": described(text, "What to do next, as a sentence."),
        ], required: ["code", "error"], isClosed: true), "Why a request is refused."),
    "Health": object(["live": truth, "ready": truth], required: ["live"], isClosed: true),
    "ServerMetadata": object(
      ["name": text, "version": text, "extensions": texts],
      required: ["extensions", "name", "version"], isClosed: true),
    "Version": object(
      ["name": text, "version": text], required: ["name", "version"], isClosed: true),
    "Datatype": oneOf(TensorType.allCases.map(\.rawValue)),
    "TensorMetadata": object(
      [
        "name": text, "datatype": ref("Datatype"),
        "shape": described(array(of: integer), "-1 stands for the rows of a request."),
        "parameters": object(["features": texts, "classes": texts], isClosed: true),
      ], required: ["datatype", "name", "shape"], isClosed: true),
    "ModelMetadata": object(
      [
        "name": text, "versions": texts, "platform": text,
        "inputs": array(of: ref("TensorMetadata")), "outputs": array(of: ref("TensorMetadata")),
      ], required: ["inputs", "name", "outputs", "platform", "versions"], isClosed: true),
    "ModelReadiness": object(
      ["name": text, "ready": truth], required: ["name", "ready"], isClosed: true),
    "RequestInput": object(
      [
        "name": text, "datatype": ref("Datatype"), "shape": array(of: count),
        "data": described(
          ["type": "array"], "Elements, row after row, flat or nested; none where they are binary."),
        "parameters": object(["binary_data_size": count]),
      ], required: ["datatype", "name", "shape"]),
    "RequestOutput": object(
      [
        "name": text,
        "parameters": object(["binary_data": truth, "classification": positive]),
      ], required: ["name"]),
    "InferenceRequest": object(
      [
        "id": text, "inputs": array(of: ref("RequestInput"), 1),
        "outputs": array(of: ref("RequestOutput")),
        "parameters": object(["binary_data_output": truth, "timeout": timeout]),
      ], required: ["inputs"]),
    "ResponseOutput": object(
      [
        "name": text, "datatype": ref("Datatype"), "shape": array(of: count),
        "data": ["type": "array"],
        "parameters": object(["binary_data_size": count], isClosed: true),
      ], required: ["datatype", "name", "shape"], isClosed: true),
    "InferenceResponse": object(
      [
        "id": text, "model_name": text, "model_version": text,
        "outputs": array(of: ref("ResponseOutput")),
      ], required: ["model_name", "model_version", "outputs"], isClosed: true),
    "Record": described(
      ["type": "object"], "Members are named as the model's features, and others that are kept."),
    "Records": any(ref("Record"), array(of: ref("Record"), 1)),
    "Image": object(
      ["image": described(text, "JPEG, PNG or WebP, in base64.")], required: ["image"]),
    "Question": any(
      object(
        [
          "input": any(text, object(["text": text], required: ["text"]), ref("Image")),
          "top_k": integer,
        ], required: ["input"]),
      described(text, "The same once more as a text.")),
    "Ranking": described(
      array(of: ["type": "array", "minItems": 1]),
      "The best first: what identifies each, then its score."),
  ]
}

extension RegistryEndpoints {
  static let listing = Operation(
    "listModels", .models, "The models that the key is for.",
    answers: [
      .json(
        Schema.object(
          ["models": Schema.array(of: Schema.ref("ListedModel"))], required: ["models"],
          isClosed: true))
    ])

  static let look = Operation(
    "model", .models, "A model, its aliases and all its versions.",
    answers: [.json(Schema.ref("Model"))])

  static let versionLook = Operation(
    "modelVersion", .models, "A version, with what it takes and gives.",
    answers: [.json(Schema.ref("ModelVersion"))])

  static let pushing = Operation(
    "pushModel", .models, "Registers the body as a new version of a model.",
    details: """
      The bytes of an ONNX, LightGBM, XGBoost or CatBoost model. What the engine cannot score is refused, and \
      nothing of it is stored. Bytes that the model has already are answered with the version that has them.
      """,
    parameters: [
      .query("alias", "An alias that points at it from then on.", Schema.name),
      .query("description", "What the model is for.", Schema.name),
      .query("labels", "Names of the classes, in the model's order, between commas.", Schema.name),
      .query(
        "setup", "What the bytes do not say, as an object of JSON.", Schema.name),
    ],
    body: .init(contents: [.init("application/octet-stream", Schema.bytes)]),
    answers: [
      .json(Schema.ref("PushedModel"), "The version that was there already."),
      .json(
        Schema.ref("PushedModel"), "The new version.", status: 201,
        headers: ["Location": "Where the version is looked at."]),
    ], refusals: [409, 422])

  private static let versionMembers: [String: JSONTree] = [
    "version": Schema.positive, "state": Schema.oneOf(["registered", "ready", "refused"]),
    "refusal": Schema.optional("string"), "format": Schema.optional("string"),
    "aliases": Schema.texts, "byte_count": Schema.count, "sha256": Schema.text,
    "golden_rows": Schema.count, "labels": ["type": ["array", "null"], "items": Schema.text],
    "metrics": Schema.optional("object"), "created_at": Schema.moment,
  ]

  private static let aliases: JSONTree = [
    "type": "object", "additionalProperties": Schema.positive,
  ]

  /// Schemas that others name by `Schema.ref`.
  static let schemas: [String: JSONTree] = [
    "ListedModel": Schema.object(
      [
        "name": Schema.text, "aliases": aliases,
        "versions": Schema.array(
          of: Schema.object(
            ["version": Schema.positive, "state": Schema.text, "format": Schema.text],
            required: ["state", "version"], isClosed: true)),
      ], required: ["aliases", "name", "versions"], isClosed: true),
    "Model": Schema.object(
      [
        "name": Schema.text, "description": Schema.optional("string"), "aliases": aliases,
        "versions": Schema.array(
          of: Schema.object(versionMembers, required: ["state", "version"], isClosed: true)),
      ], required: ["aliases", "name", "versions"], isClosed: true),
    "SignatureEntry": Schema.object(
      [
        "name": Schema.text, "type": Schema.text, "missing": Schema.text, "role": Schema.text,
        "class": Schema.text,
      ], required: ["name", "type"], isClosed: true),
    "ModelVersion": Schema.object(
      versionMembers.merging(
        [
          "name": Schema.text, "features": Schema.array(of: Schema.ref("SignatureEntry")),
          "outputs": Schema.array(of: Schema.ref("SignatureEntry")),
        ], uniquingKeysWith: { $1 }), required: ["name", "state", "version"], isClosed: true),
    "PushedModel": Schema.object(
      [
        "name": Schema.text, "version": Schema.positive, "format": Schema.text,
        "sha256": Schema.text, "byte_count": Schema.count, "alias": Schema.text,
        "is_new": Schema.truth, "is_ready": Schema.truth,
      ], required: ["byte_count", "format", "is_new", "is_ready", "name", "sha256", "version"],
      isClosed: true),
  ]
}

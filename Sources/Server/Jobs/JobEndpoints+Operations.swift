extension JobEndpoints {
  static let submission = Operation(
    "submitJob", .jobs, "Has a table, a query, or the rows of the body scored once.",
    details: """
      As application/json the body says what is read; as text/csv or application/x-ndjson it is the rows, and \
      the query says with which model. Everything is read with the rights of the key's role.
      """,
    parameters: [
      .query("model", "Of rows in the body: the model's name.", Schema.name),
      .query("version", "Of rows in the body: a version.", Schema.positive),
      .query("alias", "Of rows in the body: an alias, the champion by default.", Schema.name),
      .query("keep", "Of rows in the body: columns to pass through, between commas.", Schema.name),
      .query("top_k", "Of rows in the body: how many classes.", Schema.positive),
      .query(
        "priority", "Of rows in the body: beside live changes, or behind them.",
        Schema.oneOf(["high", "normal", "low"])),
    ],
    body: .init(contents: [
      .init("application/json", Schema.ref("JobRequest")), .init("text/csv", Schema.text),
      .init("application/x-ndjson", Schema.text),
    ]),
    answers: [
      .json(
        Schema.ref("Job"), "The job, which workers do.", status: 202,
        headers: ["Location": "Where the job is looked at."])
    ], refusals: [404, 409, 422])

  static let listing = Operation(
    "listJobs", .jobs, "The jobs of the key's role, newest first.",
    parameters: [
      .query("limit", "How many at most.", ["type": "integer", "minimum": 1, "maximum": 1000]),
      .query("before", "Those with smaller numbers only.", Schema.positive),
    ],
    answers: [
      .json(
        Schema.object(
          ["jobs": Schema.array(of: Schema.ref("Job"))], required: ["jobs"], isClosed: true))
    ])

  static let look = Operation(
    "job", .jobs, "How far a job is.", answers: [.json(Schema.ref("Job"))])

  static let cancelling = Operation(
    "cancelJob", .jobs, "Cancels a job: what it has scored stays.",
    answers: [.json(Schema.ref("Job"))], refusals: [409])

  static let reading = Operation(
    "jobResults", .jobs, "What a job that is done has written, row after row.",
    details: """
      Of jobs without a destination of their own, as application/x-ndjson unless Accept asks for text/csv. Rows \
      that could not be scored are not among them.
      """,
    answers: [
      .init(
        status: 200, summary: "The rows.",
        contents: [.init("application/x-ndjson", Schema.text), .init("text/csv", Schema.text)])
    ], refusals: [409])

  /// Schemas that others name by `Schema.ref`.
  static let schemas: [String: JSONTree] = [
    "JobRequest": Schema.object(
      [
        "model": Schema.name, "version": Schema.positive, "alias": Schema.name,
        "table": Schema.described(Schema.name, "A table or view, spelled as in SQL."),
        "query": Schema.described(Schema.name, "A query that begins with select."),
        "destination": Schema.described(
          Schema.name, "A table; without one results are served."),
        "mode": Schema.oneOf(["create", "append", "replace", "upsert", "segments"]),
        "keep": Schema.texts, "key": Schema.texts,
        "features": Schema.any(
          Schema.described(
            ["type": "object", "additionalProperties": Schema.text], "Features by column."),
          Schema.described(Schema.texts, "Columns in the model's order.")),
        "top_k": Schema.small, "priority": Schema.oneOf(["high", "normal", "low"]),
        "max_concurrency": Schema.small,
        "error_threshold": Schema.described(
          ["type": "integer", "minimum": -1], "Failed rows after which it stops; -1 for never."),
        "max_retries": ["type": "integer", "minimum": 0, "maximum": .integer(Int(Int32.max))],
        "snapshot": Schema.truth,
      ], required: ["model"], isClosed: true),
    "Job": Schema.object(
      [
        "id": Schema.positive,
        "state": Schema.oneOf(["running", "paused", "done", "failed", "cancelled"]),
        "phase": Schema.optional("string"), "model": Schema.optional("string"),
        "model_version": Schema.optional("integer"), "source": Schema.optional("string"),
        "destination": Schema.optional("string"), "rows_done": Schema.count,
        "rows_failed": Schema.count, "rows_total": Schema.count,
        "done": ["type": "number", "minimum": 0, "maximum": 1],
        "rows_per_second": Schema.number, "eta_seconds": Schema.optional("number"),
        "elapsed_seconds": Schema.number, "created_at": Schema.moment,
        "finished_at": ["type": ["string", "null"], "format": "date-time"],
        "error": Schema.optional("string"),
      ],
      required: [
        "created_at", "done", "elapsed_seconds", "error", "eta_seconds", "finished_at", "id",
        "model", "rows_done", "rows_failed", "rows_total", "state",
      ], isClosed: true),
  ]
}

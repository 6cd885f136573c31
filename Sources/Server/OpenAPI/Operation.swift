internal import HTTPTypes

/// What a route says of itself: its entry in the document that `/openapi.json` serves.
///
/// A route cannot be made without one. It says what is the route's own: its name, its query, the kinds of
/// bodies that it takes and gives, and refusals of its own. What every route has in common is added by
/// `OpenAPIDocument`, from the route's path, access and body: parameters of the path, security, and the
/// answers 400, 401, 403, 404, 405, 408, 413, 415, 429 and 503. To add a route:
///
/// ```swift
/// .get("/v1/things/{thing}", .key(.read),
///   Operation("thing", .models, "One thing.", answers: [.json(Schema.ref("Thing"))])) { … }
/// ```
///
/// A schema that several routes use stands in `Schema.shared`, under a name that `Schema.ref` names. Answers
/// for people, such as pages, are `.body(200, "text/html", …)`. A parameter of the path that is not in
/// `Parameter.ofPaths` is described there.
struct Operation: Sendable {
  /// What the document groups operations by.
  enum Tag: String, Sendable, CaseIterable {
    case inference, models, services, jobs, server, console

    var summary: String {
      switch self {
      case .inference: "The Open Inference Protocol, version 2."
      case .models: "Models by name: records in and out, and the registry."
      case .services: "A text or an image in, ranked answers out."
      case .jobs: "Tables, queries and files, scored once."
      case .server: "The server itself."
      case .console: "Pages for people."
      }
    }
  }

  /// What clients that are made of the document call it: one word, in camel case, that no other route has.
  var id: String
  var tag: Tag
  /// A sentence.
  var summary: String
  /// What the summary has no room for.
  var details: String?
  /// Of the query and of the header; those of the path are told from the path.
  var parameters: [Parameter]
  /// nil where nothing is read of a body.
  var body: Body?
  /// What it answers where all is well.
  var answers: [Answer]
  /// Statuses of refusals beside those that come of the path, the access and the body.
  var refusals: [Int]

  init(
    _ id: String, _ tag: Tag, _ summary: String, details: String? = nil,
    parameters: [Parameter] = [], body: Body? = nil, answers: [Answer], refusals: [Int] = []
  ) {
    self.id = id
    self.tag = tag
    self.summary = summary
    self.details = details
    self.parameters = parameters
    self.body = body
    self.answers = answers
    self.refusals = refusals
  }

  struct Parameter: Sendable {
    enum Place: String, Sendable { case query, header, path }

    var name: String
    var place: Place
    var summary: String
    var schema: JSONTree

    static func query(_ name: String, _ summary: String, _ schema: JSONTree) -> Parameter {
      Parameter(name: name, place: .query, summary: summary, schema: schema)
    }

    static func header(_ name: String, _ summary: String, _ schema: JSONTree) -> Parameter {
      Parameter(name: name, place: .header, summary: summary, schema: schema)
    }

    /// Those that paths have, by their names in braces.
    static let ofPaths: [String: (summary: String, schema: JSONTree)] = [
      "model": ("A model's name.", Schema.name),
      "version": ("A version's number, or an alias.", Schema.name),
      "name": ("A service's name, or a model's.", Schema.name),
      "scorer": ("A scorer's name.", Schema.name),
      "job": ("A job's number.", ["type": "integer", "minimum": 1, "maximum": .integer(.max)]),
    ]
  }

  /// A kind of body, and what is in it.
  struct Content: Sendable {
    var media: String
    var schema: JSONTree

    init(_ media: String, _ schema: JSONTree) {
      self.media = media
      self.schema = schema
    }
  }

  /// What is read.
  struct Body: Sendable {
    var contents: [Content]

    static func json(_ schema: JSONTree) -> Body {
      Body(contents: [Content("application/json", schema)])
    }
  }

  struct Answer: Sendable {
    var status: Int
    var summary: String
    var contents: [Content]
    /// Names of header fields that it has, with what they say.
    var headers: [String: String] = [:]

    static func json(
      _ schema: JSONTree, _ summary: String = "The answer.", status: Int = 200,
      headers: [String: String] = [:]
    ) -> Answer {
      Answer(
        status: status, summary: summary, contents: [Content("application/json", schema)],
        headers: headers)
    }

    static func body(_ status: Int, _ media: String, _ summary: String) -> Answer {
      Answer(status: status, summary: summary, contents: [Content(media, Schema.text)])
    }
  }
}

internal import FoundationEssentials
internal import HTTPTypes
internal import Scoring

/// What a job is to do, as a body of JSON says it, or the query of a request whose body is the rows.
struct JobRequest: Decodable, Sendable {
  var model: String
  var version: Int?
  var alias: String?
  /// A table or view, as in SQL; nil where the rows are a query's or the body's.
  var table: String?
  var query: String?
  /// A table; nil for one of the job's own, of which results are served.
  var destination: String?
  var mode: String?
  var keep: [String]?
  var key: [String]?
  /// Columns by feature, or in the model's order.
  var features: JSONTree?
  var topK: Int?
  var priority: String?
  var maxConcurrency: Int?
  var errorThreshold: Int?
  var maxRetries: Int?
  var snapshot: Bool?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case model, version, alias, table, query, destination, mode, keep, key, features, priority
    case snapshot
    case topK = "top_k"
    case maxConcurrency = "max_concurrency"
    case errorThreshold = "error_threshold"
    case maxRetries = "max_retries"
  }

  private struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// - Throws: 400 for what is no such object, with the member that is not as it should be.
  static func read(_ body: [UInt8]) throws(Problem) -> JobRequest {
    do {
      return try JSONDecoder().decode(JobRequest.self, from: Data(body))
    } catch let problem as Problem {
      throw problem
    } catch DecodingError.keyNotFound(let key, _) {
      throw .badRequest("the job has no \"\(key.stringValue)\"")
    } catch DecodingError.typeMismatch(_, let context) {
      throw .badRequest(Self.unfit(context))
    } catch DecodingError.valueNotFound(_, let context) {
      throw .badRequest(Self.unfit(context))
    } catch {
      throw .badRequest("the body is not JSON that describes a job")
    }
  }

  private static func unfit(_ context: DecodingError.Context) -> String {
    guard let member = context.codingPath.first?.stringValue else {
      return "the body is not an object of JSON"
    }
    return "\"\(member)\" is not what it should be"
  }

  init(from decoder: any Decoder) throws {
    for name in try decoder.container(keyedBy: Name.self).allKeys
    where CodingKeys(rawValue: name.stringValue) == nil {
      throw Problem.badRequest("a job has no member \"\(name.stringValue.excerpt(40))\"")
    }
    let members = try decoder.container(keyedBy: CodingKeys.self)
    model = try members.decode(String.self, forKey: .model)
    version = try members.decodeIfPresent(Int.self, forKey: .version)
    alias = try members.decodeIfPresent(String.self, forKey: .alias)
    table = try members.decodeIfPresent(String.self, forKey: .table)
    query = try members.decodeIfPresent(String.self, forKey: .query)
    destination = try members.decodeIfPresent(String.self, forKey: .destination)
    mode = try members.decodeIfPresent(String.self, forKey: .mode)
    keep = try members.decodeIfPresent([String].self, forKey: .keep)
    key = try members.decodeIfPresent([String].self, forKey: .key)
    if let named = try? members.decodeIfPresent([String: String].self, forKey: .features) {
      features = .object(named.mapValues { .string($0) })
    } else {
      features = try members.decodeIfPresent([String].self, forKey: .features).map {
        .array($0.map { .string($0) })
      }
    }
    topK = try members.decodeIfPresent(Int.self, forKey: .topK)
    priority = try members.decodeIfPresent(String.self, forKey: .priority)
    maxConcurrency = try members.decodeIfPresent(Int.self, forKey: .maxConcurrency)
    errorThreshold = try members.decodeIfPresent(Int.self, forKey: .errorThreshold)
    maxRetries = try members.decodeIfPresent(Int.self, forKey: .maxRetries)
    snapshot = try members.decodeIfPresent(Bool.self, forKey: .snapshot)
  }

  /// Of a request whose body is the rows.
  init(_ query: RequestQuery) throws(Problem) {
    model = try query.text("model") ?? ""
    guard !model.isEmpty else { throw .badRequest("the query has no \"model\"") }
    version = try query.integer("version")
    alias = try query.text("alias")
    keep = try query.text("keep").map { $0.split(separator: ",").map(String.init) }
    topK = try query.integer("top_k")
    priority = try query.text("priority")
  }

  /// The arguments of `rowcast.submit_job`.
  ///
  /// - Parameter hasRows: Whether the rows are the body's, so that no source is named.
  func arguments(hasRows: Bool = false) throws(Problem) -> JSONTree {
    var job: [String: JSONTree] = ["model": .string(model)]
    if !hasRows { job["source"] = .string(try source()) }
    func add(_ name: String, _ value: JSONTree?) { if let value { job[name] = value } }
    func number(_ name: String, _ value: Int?) throws(Problem) -> JSONTree? {
      guard let value else { return nil }
      guard Int32(exactly: value) != nil else { throw .badRequest("\"\(name)\" is too large") }
      return .integer(value)
    }
    func texts(_ values: [String]?) -> JSONTree? { values.map { .array($0.map { .string($0) }) } }
    add("version", try number("version", version))
    add("alias", alias.map { .string($0) })
    add("destination", destination.map { .string($0) })
    add("mode", mode.map { .string($0) })
    add("keep", texts(keep))
    add("key", texts(key))
    add("features", features)
    add("top_k", try number("top_k", topK))
    add("priority", priority.map { .string($0) })
    add("max_concurrency", try number("max_concurrency", maxConcurrency))
    add("error_threshold", errorThreshold.map { .integer($0) })
    add("max_retries", try number("max_retries", maxRetries))
    add("snapshot", snapshot.map { .bool($0) })
    return .object(job)
  }

  /// `submit_job` takes a source for a query by its first word, and for a file by its prefix: neither may be
  /// taken for the other.
  private func source() throws(Problem) -> String {
    switch (table, query) {
    case (let table?, nil):
      guard !table.isEmpty else { throw .badRequest("\"table\" is empty") }
      guard !Self.isQuery(table), !table.lowercased().hasPrefix("file:") else {
        throw .badRequest("\"table\" is not the name of a table", hint: "Write it as in SQL.")
      }
      return table
    case (nil, let query?):
      guard Self.isQuery(query) else {
        throw .badRequest("\"query\" does not begin with select, with, values or table")
      }
      return query
    default:
      throw .badRequest(
        "a job reads either a \"table\" or a \"query\"",
        hint: "Or send the rows as text/csv or application/x-ndjson.")
    }
  }

  private static func isQuery(_ text: String) -> Bool {
    let word = text.drop { " \t\r\n;".contains($0) }.prefix {
      $0.isLetter || $0 == "_" || $0.isNumber
    }
    return ["select", "with", "values", "table"].contains(word.lowercased())
  }
}

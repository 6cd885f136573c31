import Foundation
import Postgres
import TestSupport
import Testing

/// As a browser speaks to the console, without its cleverness: no redirect is followed, no cookie kept.
struct ConsoleBrowser: Sendable {
  let scene: ServerScene
  var cookie: String?

  struct Page: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: String

    func contains(_ text: String) -> Bool { body.contains(text) }
  }

  /// The pages that a database with a scorer `s` of a model `m` has.
  static let paths = [
    "/", "/console/scorers/s", "/console/models", "/console/models/m", "/console/jobs",
    "/console/failures",
    "/console/failures?scorer=s", "/console/drift", "/console/drift?scorer=s", "/console/workers",
    "/console/try", "/console/try/m", "/console/ask/m",
  ]

  func get(_ path: String, _ headers: [String: String] = [:]) async throws -> Page {
    try await send("GET", path, headers, nil)
  }

  /// Posts a form as a page of the console does.
  func post(
    _ path: String, _ fields: [String: String],
    _ headers: [String: String] = ["Sec-Fetch-Site": "same-origin"]
  ) async throws -> Page {
    let unreserved = CharacterSet.alphanumerics.union(["-", ".", "_", "~"])
    let body = try fields.sorted { $0.key < $1.key }.map { field in
      try [field.key, field.value].map {
        try #require($0.addingPercentEncoding(withAllowedCharacters: unreserved))
      }.joined(separator: "=")
    }.joined(separator: "&")
    var headers = headers
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return try await send("POST", path, headers, Data(body.utf8))
  }

  /// Posts a file as a page of the console does.
  func upload(_ path: String, _ name: String, _ file: Data) async throws -> Page {
    var body = Data("--edge\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n".utf8)
    body += Data(
      "--edge\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"a;b.jpg\"\r\n".utf8)
    body += Data("Content-Type: image/jpeg\r\n\r\n".utf8) + file + Data("\r\n--edge--\r\n".utf8)
    return try await send(
      "POST", path,
      ["Sec-Fetch-Site": "same-origin", "Content-Type": "multipart/form-data; boundary=edge"], body)
  }

  private func send(
    _ method: String, _ path: String, _ headers: [String: String], _ body: Data?
  ) async throws -> Page {
    let client = try RawClient(scene)
    var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    if let cookie { head += "Cookie: theme=dark; \(cookie)\r\n" }
    if let body { head += "Content-Length: \(body.count)\r\n" }
    client.say([UInt8]((head + "\r\n").utf8) + (body ?? Data()))
    let answer = await client.readToEnd()
    let parts = try #require(answer.firstRange(of: "\r\n\r\n"))
    let lines = answer[..<parts.lowerBound].components(separatedBy: "\r\n")
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      let pair = line.split(separator: ":", maxSplits: 1)
      fields[pair[0].lowercased()] =
        pair.count > 1 ? pair[1].trimmingCharacters(in: .whitespaces) : ""
    }
    return Page(
      status: try #require(Int(lines[0].split(separator: " ")[1])), headers: fields,
      body: String(answer[parts.upperBound...]))
  }

  /// Signs in; waits until the server knows the key.
  static func signedIn(_ scene: ServerScene, _ key: String) async throws -> ConsoleBrowser {
    var browser = ConsoleBrowser(scene: scene)
    let end = ContinuousClock.now + .seconds(60)
    while true {
      if try await scene.get("/v2", headers: ["X-API-Key": key]).status != 401 { break }
      try #require(ContinuousClock.now < end)
    }
    let answer = try await browser.post("/console/sign-in", ["key": key, "way": "/console/jobs"])
    try #require(answer.status == 303, "\(answer.body)")
    browser.cookie = try #require(
      answer.headers["set-cookie"]?.split(separator: ";").first.map(String.init))
    return browser
  }

  // MARK: What there is to see

  /// A scorer `s` of the model `m`, with failures, jobs, rules and a hostile name wherever one can be given.
  static func prepare(model: String = "m", scorer: String = "s", table: String = "orders") throws {
    try ServerScene.push("lightgbm_multiclass", as: model)
    let connection = try Database.current.connect()
    defer { connection.close() }
    let quoted = "\"\(table.replacing("\"", with: "\"\""))\""
    try connection.runScript(
      """
      create table \(quoted) (id int primary key, amount float4, age_days float4, ratio float4, phase float4, \
      balance float4)
      """)
    try connection.run("select count(*) from rowcast.create_scorer(\(scorer), \(quoted), \(model))")
    try connection.run(
      "select rowcast.expect(\(scorer), \(hostile), 'range', 'amount', minimum => 0, maximum => 9)")
    try connection.run(
      Query(
        text: """
          insert into predictions.\(scorer)_failure (id, code, reason, model_name, model_version, tick)
          select i, 'unseen_category', $1, $2, 1, 1 from generate_series(1, 60) as i
          """, values: [hostile, model]))
  }

  static let hostile = #"<script>alert("it's")</script> & co"#
  static let escaped = "&lt;script&gt;alert(&quot;it&#39;s&quot;)&lt;/script&gt; &amp; co"
}

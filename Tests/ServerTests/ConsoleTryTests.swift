import Foundation
import Inference
import ModelFixtures
import Postgres
import Server
import TestSupport
import Testing

/// Forms made of signatures, and what models say of what is written into them.
@Suite(.database) struct ConsoleTryTests {
  private static func look(
    actions: [String] = ["read", "score"], _ body: (ConsoleBrowser) async throws -> Void
  ) async throws {
    let key = try ServerScene.key("looker", actions: actions)
    try await ServerScene.run { scene in
      try await body(try await ConsoleBrowser.signedIn(scene, key.key))
    }
  }

  @Test func aRecordIsScoredAndExplainedAsTheEngineDoes() async throws {
    let fixture = "lightgbm_binary"
    try ServerScene.push(fixture, as: "m")
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../InferenceTests/Fixtures/\(fixture)/model.txt").standardized
    let model = try Model.load(
      [UInt8](Data(contentsOf: path)), options: ModelOptions(reasons: 2))
    let lines = try ServerScene.lines(of: fixture, "rows.csv")
    let names = lines[0].split(separator: ",").map(String.init)
    try await Self.look { browser in
      let form = try await browser.get("/console/try/m")
      for (place, name) in names.enumerated() {
        #expect(form.contains("<label for=\"f\(place)\">\(name)</label>"))
      }
      for line in lines[1...8] {
        let fields = line.split(separator: ",", omittingEmptySubsequences: false)
          .map { $0 == "nan" ? "" : String($0) }
        let columns = fields.map { field in
          Double(field).map { Column(.float64([$0])) } ?? Column(.float64([0]), nulls: [1])
        }
        let predictions = try model.predict(
          Batch(rowCount: 1, columns: columns), workspace: Workspace())
        func text(_ output: String) throws -> String {
          let place = try #require(model.signature.outputs.firstIndex { $0.name == output })
          switch predictions.columns[place].values {
          case .string(let values): return values[0]
          case .int64(let values): return String(values[0])
          case let values: throw Failure(what: "\(values)")
          }
        }
        let page = try await browser.post(
          "/console/try/m",
          Dictionary(uniqueKeysWithValues: fields.enumerated().map { ("f\($0)", $1) }))
        #expect(page.status == 200, "\(page.body)")
        let label = try text("label")
        #expect(page.contains("<strong>\(label)</strong>"))
        let contributions = try #require(
          page.body.components(separatedBy: "id=\"contributions\"").last)
        let (largest, next) = (try text("reason_1"), try text("reason_2"))
        let first = try #require(contributions.firstRange(of: ">\(largest)</th>"))
        let second = try #require(contributions.firstRange(of: ">\(next)</th>"))
        #expect(first.lowerBound < second.lowerBound)
        // What was written stays in the form.
        #expect(page.contains("value=\"\(fields[0])\""))
      }
    }
  }

  private struct Failure: Error { var what: String }

  @Test func categoriesThatAreKnownAreOffered() async throws {
    try ServerScene.push("lightgbm_frame", as: "m")
    try await Self.look { browser in
      let form = try await browser.get("/console/try/m")
      #expect(form.contains("<option value=\"Köln\">Köln</option>"))
      #expect(form.contains("<option value=\"red\">red</option>"))
      let names = try ServerScene.lines(of: "lightgbm_frame", "rows.csv")[0].split(separator: ",")
      let word = try #require(names.firstIndex(of: "word"))
      let flag = try #require(names.firstIndex(of: "flag"))
      let page = try await browser.post("/console/try/m", ["f\(word)": "red", "f\(flag)": "true"])
      #expect(page.status == 200, "\(page.body)")
      #expect(page.contains("<option value=\"red\" selected>"))
    }
  }

  @Test func whatIsNoRecordIsNamed() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "m")
    try await Self.look { browser in
      for (value, reason) in [
        ("ten", "is not a number"), ("1,5", "is not a number"), ("nan", "is not a number"),
      ] {
        let page = try await browser.post("/console/try/m", ["f0": value])
        #expect(
          page.status == 400 && page.contains("feature &quot;amount&quot; \(reason)"), "\(value)")
        #expect(page.contains("value=\"\(value)\""))
      }
      #expect(try await browser.get("/console/try/none").status == 404)
      #expect(try await browser.get("/console/try/m?version=9").status == 404)
      #expect(try await browser.get("/console/try/m?version=1").status == 200)
    }
  }

  @Test func whoMayOnlyReadTriesNothing() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "m")
    try await Self.look(actions: ["read"]) { browser in
      let form = try await browser.get("/console/try/m")
      #expect(form.status == 200 && !form.contains(">Score</button>"))
      #expect(try await browser.post("/console/try/m", ["f0": "1"]).status == 403)
    }
  }

  @Test func anImageIsTakenFromTheForm() async throws {
    try ServerScene.pushColours()
    let picture = Data(ColourModel.picture((10, 240, 30)))
    try await Self.look { browser in
      #expect(try await browser.get("/console/ask/colours").contains("type=\"file\""))
      let answers = try await browser.upload("/console/ask/colours", "image", picture)
      #expect(
        answers.status == 200 && answers.contains("<th role=\"rowheader\" scope=\"row\">green</th>")
      )
      let result = try await browser.upload("/console/try/colours", "f0", picture)
      #expect(result.status == 200 && result.contains("<strong>green</strong>"))
      let cut = try await browser.upload("/console/ask/colours", "image", picture.prefix(40))
      #expect(cut.status == 422 && cut.contains("Not answered"))
      #expect(try await browser.upload("/console/ask/colours", "other", picture).status == 400)
    }
  }

  @Test func aQuestionIsAnswered() async throws {
    try ServerScene.push(try FaqFixture.madeUp().model, as: "faq")
    let connection = try Database.current.connect()
    try connection.runScript(
      "create table entry (entry_id text primary key, entry text not null)")
    for (id, text) in [("<b>1", "How do I reset my password?"), ("two", "Where is my order?")] {
      try connection.run("insert into entry values (\(id), \(text))")
    }
    try connection.run(
      "select rowcast.create_service('help', 'faq', 'select entry_id, entry from public.entry', ids => '{entry_id}')"
    )
    try await Self.look { browser in
      #expect(try await browser.get("/console/ask/help").contains("<textarea id=\"question\""))
      let question = "I forgot my <i>password</i>, can you help me?"
      let page = try await browser.post("/console/ask/help", ["question": question])
      #expect(page.status == 200 && page.contains(">&lt;b&gt;1</th>") && page.contains(">two</th>"))
      #expect(page.contains("I forgot my &lt;i&gt;password&lt;/i&gt;"))
      #expect(try await browser.get("/console/try").contains("/console/ask/help"))
    }
  }
}

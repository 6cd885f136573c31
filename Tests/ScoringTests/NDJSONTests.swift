import Foundation
import Inference
import Scoring
import TestRandom
import Testing

/// Files with an object a line: read strictly, scored in order, answered in either format.
@Suite struct NDJSONTests {
  @Test func outputsFollowTheObjectsOwnMembers() async throws {
    let model = try Model.load(TestModel.anomaly(device: 1, sensor: 1))
    let (lines, summary) = try await FileScene.predict(
      #"""
      {"name": "a \"b\"", "value": 60.46, "tags": [1, {"x": null}]}

      {"value": null, "name": "late"}
      {"name":"third"}
      """#, model)
    #expect(lines.count == 4)
    #expect(
      lines[0].hasPrefix(
        #"{"name": "a \"b\"", "value": 60.46, "tags": [1, {"x": null}],"label":1,"decision":0.07"#))
    #expect(lines[0].hasSuffix(#","failure":null}"#))
    #expect(lines[1].hasPrefix(#"{"value": null, "name": "late","label":null,"decision":null,"#))
    #expect(lines[2].contains(#""failure":"feature \"value\" is missing"#))
    #expect(summary.rows == 3)
    #expect(summary.failures == 2)
  }

  @Test(arguments: [16, 100, 1 << 20])
  func blocksChangeNothing(byteCount: Int) async throws {
    let model = try Model.load(TestModel.sum(of: ["a", "b"]))
    var random = SplitMix64(seed: 5)
    var text = ""
    var columns = (a: [Double](), b: [Double]())
    for id in 0..<300 {
      let (a, b) = (random.unit() * 20 - 10, random.unit() * 20 - 10)
      columns.a.append(a)
      columns.b.append(b)
      text +=
        id % 2 == 0
        ? "{\"id\":\(id),\"a\":\(a),\"b\":\(b)}\n" : "{\"b\":\(b),\"id\":\(id),\"a\":\(a)}\n"
    }
    let (lines, summary) = try await FileScene.predict(
      text, model, options: .init(to: .csv, keep: ["id"], blockByteCount: byteCount))
    #expect(summary.rows == 300)
    let oracle = try model.predict(
      Batch(rowCount: 300, columns: [Column(.float64(columns.a)), Column(.float64(columns.b))]),
      workspace: Workspace())
    guard case .float64(let scores) = oracle.columns[0].values else { return }
    #expect(lines[0] == "id,score,failure")
    for id in 0..<300 { #expect(lines[id + 1] == "\(id),\(scores[id]),") }
  }

  @Test func formatsAreTranslated() async throws {
    let model = try Model.load(TestModel.sum(of: ["a"]))
    let (objects, _) = try await FileScene.predict(
      "id,a,note\n007,1.5,\"say \"\"hi\"\"\"\n8,2e0,\n9,,\"\"\n", model,
      options: .init(to: .ndjson, hasFailures: false))
    #expect(objects[0].hasPrefix(#"{"id":"007","a":1.5,"note":"say \"hi\"","score":"#))
    #expect(objects[1].hasPrefix(#"{"id":8,"a":2e0,"note":null,"score":"#))
    #expect(objects[2].hasPrefix(#"{"id":9,"a":null,"note":"","score":"#))
    let (back, _) = try await FileScene.predict(
      objects.joined(separator: "\n"), model,
      options: .init(to: .csv, keep: ["note", "id", "score"], hasFailures: false))
    #expect(back[0] == "note,id,score,predicted_score")
    #expect(back[1].hasPrefix(#""say ""hi""",007,"#))
    #expect(back[2].hasPrefix(",8,"))
    #expect(back[3].hasPrefix("\"\",9,"))
    // The same score, written and read back.
    for line in back[1...3] {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).suffix(2)
      #expect(fields.first == fields.last)
    }
  }

  @Test func aCSVThatKeepsNothingHasOutputsOnly() async throws {
    let model = try Model.load(TestModel.sum(of: ["a"]))
    let (lines, _) = try await FileScene.predict(
      "a,b\n1,2\nx,2\n", model, options: .init(keep: [], hasFailures: false))
    #expect(lines[0] == "score")
    #expect(Double(lines[1]) != nil)
    #expect(lines[2].isEmpty)
  }

  @Test(arguments: [
    ("{\"value\":1}\n{\"value\":01}", "line 2"), ("{\"value\":1", "line 1"),
    ("{\"value\":1}{\"value\":1}", "the end of the line"), ("{\"value\":.5}", "a value"),
    ("{\"value\":1,}", "a member's name"), ("{\"value\":\"\\x\"}", "an escape"),
    ("{\"value\":\"\t\"}", "the end of a string"), ("{\"value\":nul}", "a value"),
    ("{\"value\":1,\"value\":2}", "twice"), ("{\"other\":1}", "no column \"value\""),
    ("{\"value\":1}\n[1]", "an object"), ("{\"value\":1}\n{\"label\":1}", "also an output's name"),
    ("{\"value\":" + String(repeating: "[", count: 70), "nests more than 64 deep"),
    ("{}", "no column"),
  ])
  func badFilesAreRefused(text: String, message: String) async throws {
    try await FileScene.expectRefusal(of: text, message: message)
  }

  @Test func aMemberThatTheFirstObjectLacksIsNotLost() async throws {
    let model = try Model.load(TestModel.sum(of: ["a"]))
    let text = "{\"a\":1}\n{\"a\":1,\"id\":2}"
    let error = await #expect(throws: ScoringError.self) {
      _ = try await FileScene.predict(text, model, options: .init(to: .csv))
    }
    #expect(error?.message == "line 2 has member \"id\", the first object has none")
    let (lines, _) = try await FileScene.predict(text, model, options: .init(to: .csv, keep: ["a"]))
    #expect(lines.count == 4)
  }

  @Test(arguments: [
    "0", "-0.0", "1.5", "123456789.125", "1e-5", "3.4028235e38", "1.17549435e-38", "1e-40", "1e400",
    "16777217", "0.1", "9007199254740993", "7.0064923216240854e-46",
    "1.00000017881393421514957253748434595763683319091796875001",
    "1.000000178813934215149572537484345957636833190917968750", "nan", "-inf", "Infinity", "1e",
    "--1",
    "0x10", " 1", "1 ", "", "1.2.3", "+5", ".5", "5.", "1e+05", "123456789012345678901234567890",
  ])
  func numbersAreReadAsCReadsThem(text: String) throws {
    let signature = Signature(
      features: [
        .init(name: "f", type: .float32, missing: .allowed),
        .init(name: "d", type: .float64, missing: .allowed),
      ], outputs: [])
    let rows = try? FileRows.read(Array("f,d,x\n\(text),\(text),1\n".utf8), for: signature)
    let isNumber =
      !text.contains(" ") && !text.lowercased().contains("x")
      && Double(text) ?? strtodWhole(text) != nil
    if text.isEmpty {
      #expect(rows?.batch.columns.map { $0.isNull(0) } == [true, true])
      return
    }
    #expect((rows != nil) == isNumber)
    guard let rows, case .float32(let f) = rows.batch.columns[0].values,
      case .float64(let d) = rows.batch.columns[1].values
    else { return }
    #expect(d[0].bitPattern == strtod(text, nil).bitPattern || d[0].isNaN)
    #expect(f[0].bitPattern == strtof(text, nil).bitPattern || f[0].isNaN)
  }

  /// A number by the C library, which takes a few spellings more than Swift.
  private func strtodWhole(_ text: String) -> Double? {
    var end: UnsafeMutablePointer<CChar>?
    return text.withCString { start in
      let value = strtod(start, &end)
      return end == UnsafeMutablePointer(mutating: start) + text.utf8.count ? value : nil
    }
  }

  @Test func randomNumbersAreRoundedOnce() throws {
    var random = SplitMix64(seed: 9)
    var lines = "f\n"
    var wanted: [Float] = []
    for _ in 0..<20_000 {
      let digits = random.next() % 1_000_000_000
      let text = "\(digits).\(random.next() % 1_000_000)e\(Int(random.next() % 40) - 20)"
      lines += text + "\n"
      wanted.append(strtof(text, nil))
    }
    let signature = Signature(
      features: [.init(name: "f", type: .float32, missing: .allowed)], outputs: [])
    let rows = try FileRows.read(Array(lines.utf8), for: signature)
    guard case .float32(let got) = rows.batch.columns[0].values else { return }
    #expect(got.map(\.bitPattern) == wanted.map(\.bitPattern))
  }
}

import Foundation
import Inference
import Scoring
import TestRandom
import Testing

/// Files: read strictly, scored in order.
@Suite struct CSVTests {
  @Test func outputsFollowTheRecordsOwnFields() async throws {
    let model = try Model.load(TestModel.anomaly(device: 1, sensor: 1))
    let (lines, summary) = try await FileScene.predict(
      "name,value\r\n\"a, \"\"b\"\"\",60.46\r\nplain,\r\nline,59.75\r\n", model)
    #expect(lines[0] == "name,value,label,decision,failure")
    #expect(lines[1].hasPrefix("\"a, \"\"b\"\"\",60.46,1,"))
    #expect(lines[1].hasSuffix(","))
    #expect(lines[2].hasPrefix("plain,,,,"))
    #expect(lines[2].count > "plain,,,,".count)
    #expect(lines[3].hasPrefix("line,59.75,1,"))
    #expect(summary.rows == 3)
    #expect(summary.failures == 1)
  }

  @Test(arguments: [16, 100, 4096, 1 << 20])
  func blocksChangeNothing(byteCount: Int) async throws {
    let model = try Model.load(TestModel.sum(of: ["a", "b"]))
    var random = SplitMix64(seed: 3)
    var text = "id,b,note,a\n"
    var columns = (a: [Double](), b: [Double]())
    for id in 0..<500 {
      let (a, b) = (random.unit() * 20 - 10, random.unit() * 20 - 10)
      columns.a.append(a)
      columns.b.append(b)
      text += "\(id),\(b),\"two\nlines \(id)\",\(a)\n"
    }
    text.removeLast()  // The last line may lack its end.
    let (lines, summary) = try await FileScene.predict(
      text, model, options: .init(blockByteCount: byteCount))
    #expect(summary.rows == 500)
    #expect(summary.failures == 0)
    let oracle = try model.predict(
      Batch(rowCount: 500, columns: [Column(.float64(columns.a)), Column(.float64(columns.b))]),
      workspace: Workspace())
    guard case .float64(let scores) = oracle.columns[0].values else { return }
    for id in 0..<500 {
      #expect(lines[2 * id + 1] == "\(id),\(columns.b[id]),\"two")
      let fields = lines[2 * id + 2].split(separator: ",", omittingEmptySubsequences: false)
      #expect(Double(fields[fields.count - 2]) == scores[id])
    }
  }

  @Test(arguments: [
    ("", "the file is empty"),
    ("value,value\n1,2\n", "named twice"),
    ("other\n1\n", "no column \"value\""),
    ("value\n1,2\n", "line 2 has 2 fields"),
    ("value\n\"1\n", "line 2 is not closed"),
    ("value\n\"1\"2\n", "goes on after a closing quote"),
  ])
  func badFilesAreRefused(text: String, message: String) async throws {
    try await FileScene.expectRefusal(of: text, message: message)
  }

  @Test func aFieldOfAnotherTypeFailsItsRowOnly() async throws {
    let model = try Model.load(TestModel.anomaly(device: 1, sensor: 1))
    let (lines, summary) = try await FileScene.predict("value\nx\n60\n0x10\n", model)
    #expect(summary.failures == 2)
    #expect(lines[1].hasPrefix("x,,,") && lines[1].contains("is not float32"))
    #expect(lines[2].hasPrefix("60,1,"))
  }

  @Test func labelsAreALineEach() throws {
    #expect(try Labels.read(Array("a\nb c\n".utf8)) == ["a", "b c"])
    #expect(throws: ScoringError.self) { try Labels.read([]) }
    #expect(throws: ScoringError.self) { try Labels.read(Array("a\n\nb".utf8)) }
    #expect(throws: ScoringError.self) { try Labels.read([0xFF, 0xFE]) }
  }
}

import Foundation
import Testing

/// `rowcast predict`, against what the trainer computed.
@Suite("predict")
struct PredictTests {
  private static let model = Program.root + "/deploy/bench/boosted_100x31.txt"
  private static let golden = Program.root + "/deploy/bench/expected.csv"

  private static func table(_ csv: String) -> [[Substring]] {
    csv.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
  }

  @Test("gives the trainer's outputs, in order")
  func trainersOutputs() throws {
    let golden = Self.table(try String(contentsOfFile: Self.golden, encoding: .utf8))
    let inputs = golden.map { $0.dropLast(2).joined(separator: ",") }.joined(separator: "\n")
    let run = try Program.run("predict", Self.model, "-", input: inputs + "\n")
    #expect(run.status == 0)
    #expect(run.errors == "")
    let scored = Self.table(run.output)
    try #require(scored.count == golden.count)
    #expect(scored[0] == golden[0] + ["failure"])
    for (row, expected) in zip(scored, golden).dropFirst() {
      let probability = try #require(Double(row[29]))
      let wanted = try #require(Double(expected[29]))
      #expect(row[28] == expected[28])
      #expect(abs(probability - wanted) <= 1e-12 * abs(wanted))
    }
  }

  @Test("tells of a field that is no number, and scores its neighbours")
  func unreadableField() throws {
    let lines = try String(contentsOfFile: Self.golden, encoding: .utf8).split(separator: "\n")
    let spoilt = "many" + lines[2].drop { $0 != "," }
    let run = try Program.run(
      "predict", Self.model, "-",
      input: [lines[0], lines[1], Substring(spoilt), lines[3]]
        .joined(separator: "\n"))
    #expect(run.status == 1)
    let scored = Self.table(run.output)
    try #require(scored.count == 4)
    #expect(scored[1].last == "" && scored[3].last == "")
    #expect(scored[2].last?.contains("f0") == true)
    #expect(run.errors.hasPrefix("line 3: "))
    #expect(run.errors.hasSuffix("1 of 3 rows could not be scored\n"))
    #expect(!run.errors.contains("many"))
  }

  @Test("refuses a file without a column that the model reads")
  func missingColumn() throws {
    let run = try Program.run("predict", Self.model, "-", input: "f0,f1\n1,2\n")
    #expect(run.status == 65)
    #expect(run.errors.contains("\"f2\""))
  }

  @Test("finds columns whatever their case, where no other is meant")
  func columnsOfAnotherCase() throws {
    let golden = try String(contentsOfFile: Self.golden, encoding: .utf8)
    let shouted = "F" + golden.dropFirst().replacing(",f", with: ",F")
    #expect(shouted.hasPrefix("F0,F1,"))
    let run = try Program.run("predict", Self.model, "--keep", "", input: shouted)
    #expect(run.status == 0)
    #expect(
      run.output == (try Program.run("predict", Self.model, Self.golden, "--keep", "")).output)
    let keep = try Program.run("predict", Self.model, "--keep", "idd", input: golden)
    #expect(keep.status == 65)
    #expect(keep.errors.contains("the file has no column \"idd\""))
    #expect(keep.errors.contains("hint: Give --keep columns that the file has."))
  }

  @Test("ends without a word when nobody reads on")
  func readerThatStops() throws {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = [
      "-c", "'\(try Program.path())' predict '\(Self.model)' '\(Self.golden)' | head -n 1",
    ]
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    process.waitUntilExit()
    let first = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    #expect(first.hasPrefix("f0,f1,") && first.hasSuffix("failure\n"))
    #expect(errors.fileHandleForReading.readDataToEndOfFile().isEmpty)
  }

  @Test("refuses an empty file, and one that is not there")
  func noFile() throws {
    #expect(try Program.run("predict", Self.model, "-").status == 65)
    let run = try Program.run("predict", Self.model, "/nonexistent.csv")
    #expect(run.status == 65)
    #expect(
      run.errors == "rowcast: error: cannot read \"/nonexistent.csv\": no such file or directory\n")
  }

  @Test(
    "refuses a damaged model, and says where it is damaged",
    arguments: ["cut", "flipped", "empty", "pickle"])
  func damagedModel(how: String) throws {
    let whole = [UInt8](try Data(contentsOf: URL(filePath: Self.model)))
    let folder = try Folder()
    var bytes = whole
    switch how {
    case "cut": bytes = Array(whole.prefix(whole.count / 2))
    case "flipped":
      // A digit of a tree's split features becomes a letter.
      let mark = Array("split_feature=".utf8)
      let start = try #require(
        whole.indices.first { whole[$0...].starts(with: mark) })
      bytes[start + mark.count] = UInt8(ascii: "x")
    case "pickle": bytes = [0x80, 0x04, 0x95] + Array("sklearn".utf8)
    default: bytes = []
    }
    let run = try Program.run("predict", folder.write("model", bytes), Self.golden)
    #expect(run.status == 65)
    #expect(run.output == "")
    #expect(run.errors.hasPrefix("rowcast: error: "))
    #expect(!run.errors.contains("ModelError("))
  }

  /// The trainer's margin, from the probability that it gives.
  private static func margin(_ probability: Substring) throws -> Double {
    let p = try #require(Double(probability))
    return log(p / (1 - p))
  }

  @Test("gives margins, whose links are the predictions")
  func margins() throws {
    let golden = Self.table(try String(contentsOfFile: Self.golden, encoding: .utf8))
    let run = try Program.run("predict", Self.model, Self.golden, "--raw", "--keep", "")
    #expect(run.status == 0)
    let scored = Self.table(run.output)
    #expect(scored[0] == ["margin", "failure"])
    try #require(scored.count == golden.count)
    for (row, expected) in zip(scored, golden).dropFirst() {
      let wanted = try Self.margin(expected[29])
      #expect(abs(try #require(Double(row[0])) - wanted) <= 1e-9 * max(abs(wanted), 1))
    }
  }

  @Test("gives a leaf of each tree, also of some rounds alone")
  func leaves() throws {
    let all = try Program.run("predict", Self.model, Self.golden, "--leaves", "--keep", "")
    #expect(all.status == 0)
    let leaves = Self.table(all.output)
    #expect(leaves[0] == (0..<100).map { "leaf_\($0)" } + ["failure"])
    for row in leaves.dropFirst() {
      #expect(row.dropLast().allSatisfy { Int($0).map { (0..<31).contains($0) } ?? false })
    }
    let some = try Program.run(
      "predict", Self.model, Self.golden, "--leaves", "--keep", "", "--iterations", "10:13")
    #expect(some.status == 0)
    #expect(
      Self.table(some.output).dropFirst()
        == leaves.dropFirst().map { row in
          row[10..<13] + [""]
        }[...])
  }

  @Test("adds up the rounds that are asked for")
  func iterations() throws {
    func margins(_ rounds: String) throws -> [Double] {
      let run = try Program.run(
        "predict", Self.model, Self.golden, "--raw", "--keep", "", "--iterations", rounds)
      #expect(run.status == 0)
      return try Self.table(run.output).dropFirst().map { try #require(Double($0[0])) }
    }
    let (whole, first, rest) = (try margins("100"), try margins("40"), try margins("40:100"))
    #expect(first != whole)
    for row in whole.indices {
      #expect(abs(first[row] + rest[row] - whole[row]) <= 1e-12 * max(abs(whole[row]), 1))
    }
  }

  @Test("says what a model cannot be asked for")
  func unfitOptions() throws {
    let anomaly = Program.root + "/deploy/demo/models/anomaly_1_1.onnx"
    let graph = try Program.run("predict", anomaly, "-", "--leaves", input: "value\n1\n")
    #expect(graph.status == 65)
    #expect(graph.errors.contains("an ONNX model answers its outputs, not margins, leaves"))
    let beyond = try Program.run("predict", Self.model, Self.golden, "--iterations", "101")
    #expect(beyond.status == 65)
    #expect(beyond.errors.contains("iterations up to 101 are wanted, the model has 100"))
    for arguments in [["--raw", "--leaves"], ["--iterations", "5:5"], ["--iterations", "-1:5"]] {
      let run = try Program.run(["predict", Self.model, Self.golden] + arguments)
      #expect(run.status == 64, "\(arguments)")
    }
  }

  @Test("does not need a column that the model makes no use of")
  func unusedColumn() throws {
    let text = try String(contentsOfFile: Self.model, encoding: .utf8)
    let widened = text.replacing("max_feature_idx=27", with: "max_feature_idx=28")
      .replacing(" f27\n", with: " f27 idle\n")
    let folder = try Folder()
    let model = try folder.write("model.txt", widened)
    let run = try Program.run("predict", model, Self.golden, "--keep", "")
    #expect(run.status == 0)
    #expect(
      run.output == (try Program.run("predict", Self.model, Self.golden, "--keep", "")).output)
  }
}

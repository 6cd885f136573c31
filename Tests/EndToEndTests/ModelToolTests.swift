import Foundation
import Testing

/// `rowcast inspect`, `bench engine` and `bench load`.
@Suite("Model tools")
struct ModelToolTests {
  private static let model = Program.root + "/deploy/bench/boosted_100x31.txt"
  private static let golden = Program.root + "/deploy/bench/expected.csv"
  private static let anomaly = Program.root + "/deploy/demo/models/anomaly_1_1.onnx"

  private static func json(_ run: Program.Outcome) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  @Test("inspect tells what trees a model has, and what it costs")
  func inspectTrees() throws {
    let run = try Program.run("inspect", Self.model, "--json")
    #expect(run.status == 0)
    let report = try Self.json(run)
    #expect(report["format"] as? String == "lightgbm")
    let structure = try #require(report["structure"] as? [String: Any])
    let trees = try #require((structure["trees"] as? [[String: Any]])?.first)
    #expect(trees["count"] as? Int == 100)
    #expect(trees["leaves"] as? Int == 3100)
    let speed = try #require(report["speed"] as? [[String: Any]])
    #expect(speed.map { $0["batch"] as? Int } == [1, 1024])
    for figure in speed { #expect(try #require(figure["nanosecondsPerRow"] as? Double) > 0) }
    let signature = try #require(report["signature"] as? [String: Any])
    #expect((signature["features"] as? [Any])?.count == 28)
  }

  @Test("inspect counts operators, and names producer and operator sets")
  func inspectGraph() throws {
    let run = try Program.run("inspect", Self.anomaly)
    #expect(run.status == 0)
    #expect(run.output.hasPrefix("anomaly_1_1.onnx: onnx, "))
    #expect(run.output.contains("producer       skl2onnx "))
    #expect(run.output.contains("ai.onnx.ml.SVMRegressor"))
    #expect(run.output.contains("value    float32  refused"))
  }

  @Test("inspect names features that make no difference")
  func unusedFeatures() throws {
    let text = try String(contentsOfFile: Self.model, encoding: .utf8)
    // One more feature than any tree reads.
    let widened = text.replacing("max_feature_idx=27", with: "max_feature_idx=28")
      .replacing(" f27\n", with: " f27 idle\n")
    let folder = try Folder()
    let run = try Program.run("inspect", folder.write("model.txt", widened))
    #expect(run.status == 0)
    #expect(run.output.contains("1 of 29 features make no difference: idle\n"))
  }

  @Test("inspect refuses what cannot be scored")
  func refused() throws {
    let folder = try Folder()
    let run = try Program.run("inspect", folder.write("model", "tree\nversion=v4\n"))
    #expect(run.status == 65)
    #expect(run.output == "")
    #expect(run.errors.hasPrefix("rowcast: error: "))
  }

  @Test("bench engine compares outputs before it measures")
  func engineChecks() throws {
    let figures = [
      "bench", "engine", "--model", Self.model, "--batches", "1,64", "--threads", "1,2",
      "--repeats",
      "1", "--seconds", "0.01", "--json", "--rows",
    ]
    let run = try Program.run(figures + [Self.golden])
    #expect(run.status == 0)
    let result = try #require((try Self.json(run)["results"] as? [[String: Any]])?.first)
    let check = try #require(result["check"] as? [String: Any])
    #expect(check["outputs"] as? [String] == ["label", "probability"])
    #expect(try #require(check["largestDifference"] as? Double) <= 1e-12)
    let measured = try #require(result["figures"] as? [[String: Any]])
    #expect(measured.map { $0["batch"] as? Int } == [1, 64, 1, 64])
    #expect(measured.map { $0["threads"] as? Int } == [1, 1, 2, 2])
    for figure in measured { #expect(try #require(figure["rowsPerSecond"] as? Double) > 0) }

    var lines = try String(contentsOfFile: Self.golden, encoding: .utf8).split(separator: "\n")
    let fields = lines[1].split(separator: ",")
    lines[1] = (fields.dropLast() + ["0.5"]).joined(separator: ",")[...]
    let folder = try Folder()
    let spoilt = try Program.run(
      figures + [folder.write("rows.csv", lines.joined(separator: "\n"))])
    #expect(spoilt.status == 1)
    #expect(spoilt.errors.contains("does not give the outputs of the file"))
  }

  /// Loads that leave something behind grow with their number; what the first ones bring in for
  /// good does not count, since as many are done before memory is measured.
  @Test(
    "loading and unloading ten thousand times leaks nothing",
    arguments: [
      anomaly, "lightgbm_multiclass/model.txt", "xgboost_multiclass/model.json",
      "columns_pipeline/model.onnx", "random_forest_binary_zipmap/model.onnx",
    ])
  func noLeak(path: String) throws {
    let path =
      path.hasPrefix("/") ? path : Program.root + "/Tests/InferenceTests/Fixtures/" + path
    let run = try Program.run(
      [
        "bench", "load", "--model", path, "--times", "10000", "--resident", "0", "--seconds",
        "0.01",
        "--json",
      ], timeout: .seconds(300))
    #expect(run.status == 0)
    let result = try #require((try Self.json(run)["results"] as? [[String: Any]])?.first)
    let left = try #require(result["leftByteCount"] as? Int)
    // The least that the allocator hands out is 32 bytes, so one forgotten a load would be 320,000;
    // what it keeps in its own caches varies by some thousand.
    #expect(left < 65_536, "\(left) bytes are left")
  }

  /// The budget that the documentation states: 10,000 small models within 256 MB.
  @Test("ten thousand models are resident within their budget")
  func residency() throws {
    let run = try Program.run(
      [
        "bench", "load", "--model", Self.anomaly, "--times", "0", "--resident", "10000",
        "--seconds", "0.01", "--json",
      ], timeout: .seconds(300))
    #expect(run.status == 0)
    let result = try #require((try Self.json(run)["results"] as? [[String: Any]])?.first)
    let each = try #require(result["residentByteCount"] as? Int)
    #expect(each < 25_600, "\(each) bytes each")
  }
}

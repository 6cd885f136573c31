import Foundation
import Inference
import Testing

/// ONNX's own backend tests, run through the engine.
///
/// `Tests/Training/export_onnx_cases.py` writes them; without the files the suite is skipped.
struct OnnxConformanceTests {
  /// What became of a case.
  enum Outcome: Equatable {
    case passed(rowByRow: Bool)
    /// It needs an operator or type that the engine does not claim.
    case refused(String)
    case failed(String)
  }

  struct Case {
    struct Description: Decodable {
      var operators: [String]
      var rtol: Double
      var atol: Double
    }

    let folder: URL
    let description: Description

    init?(_ folder: URL) {
      guard let data = try? Data(contentsOf: folder.appendingPathComponent("case.json")),
        let description = try? JSONDecoder().decode(Description.self, from: data)
      else { return nil }
      (self.folder, self.description) = (folder, description)
    }

    var name: String { folder.lastPathComponent }
    var kind: String { folder.deletingLastPathComponent().lastPathComponent }

    func bytes(_ path: String) throws -> [UInt8] {
      [UInt8](try Data(contentsOf: folder.appendingPathComponent(path)))
    }

    func list(_ set: String, _ prefix: String) throws -> [[UInt8]] {
      var result: [[UInt8]] = []
      while FileManager.default.fileExists(
        atPath: folder.appendingPathComponent("\(set)/\(prefix)_\(result.count).pb").path)
      {
        result.append(try bytes("\(set)/\(prefix)_\(result.count).pb"))
      }
      return result
    }

    func run() throws -> Outcome {
      let unclaimed = description.operators.filter { !OnnxEvaluator.claims($0) }
      do {
        let evaluator = try OnnxEvaluator(bytes("model.onnx"))
        var rowByRow = false
        let sets = try FileManager.default.contentsOfDirectory(atPath: folder.path)
          .filter { $0.hasPrefix("test_data_set_") }.sorted()
        for set in sets {
          let inputs = try list(set, "input")
          let found = try evaluator.run(inputs)
          let rows = try evaluator.runRowByRow(inputs)
          for (index, bytes) in try list(set, "output").enumerated() {
            let wanted = try evaluator.expected(bytes, output: index)
            if let complaint = difference(found[index], wanted) {
              return .failed("output \(index): \(complaint)")
            }
            if let rows, let complaint = difference(rows[index], wanted) {
              return .failed("row by row, output \(index): \(complaint)")
            }
          }
          rowByRow = rowByRow || rows != nil
        }
        return .passed(rowByRow: rowByRow)
      } catch let error as ModelError {
        if let first = unclaimed.first { return .refused("operator \(first)") }
        for type in OnnxConformance.types where error.message.contains(type) {
          return .refused("type \(type)")
        }
        for form in OnnxConformance.forms.keys where error.message.contains(form) {
          return .refused("form \"\(form)\"")
        }
        return .failed(error.message)
      }
    }

    /// A line for each operator of the case, or for the one that it is refused for.
    func results(_ verdict: String, _ reason: String) -> [String] {
      let named = operators.filter { reason == "operator \($0)" }
      let why = OnnxConformance.reason(reason) ?? reason
      let text = named.isEmpty && verdict == "refused" ? "\(reason): \(why)" : why
      return (named.isEmpty ? operators : named).map { name in
        [name, self.name, verdict, "-", text.replacing("\t", with: " ")].joined(separator: "\t")
      }
    }

    private var operators: [String] { description.operators }

    /// The first difference beyond the case's tolerance, in words.
    func difference(_ found: OnnxDatum, _ wanted: OnnxDatum) -> String? {
      // Each step of a graph of several rounds anew.
      let places = description.operators.count > 1 ? 2.0 : 1.0
      let cancellation = description.operators.compactMap { OnnxConformance.cancellation[$0] }
      switch (found, wanted) {
      case (.numbers(let type, let dims, let a), .numbers(let other, let size, let b)):
        guard type == other, dims == size else {
          return "\(type)\(dims) where \(other)\(size) is wanted"
        }
        for (index, (x, y)) in zip(a, b).enumerated() where !(x == y || x.isNaN && y.isNaN) {
          let isNear =
            abs(x - y) <= (cancellation + [description.atol]).reduce(0, max)
            + max(description.rtol, places * (OnnxConformance.lastPlace[type] ?? 0)) * abs(y)
          if !isNear || y.isInfinite { return "\(x) where \(y) is wanted, element \(index)" }
        }
        return nil
      case (.sequence(let a), .sequence(let b)):
        guard a.count == b.count else { return "\(a.count) elements where \(b.count) are wanted" }
        return zip(a, b).lazy.compactMap { difference($0, $1) }.first
      default: return found == wanted ? nil : "another value than is wanted"
      }
    }
  }

  static let folder: URL = {
    let root = ProcessInfo.processInfo.environment["ROWCAST_ZOO"].map(URL.init(fileURLWithPath:))
    return (root ?? ParityCase.root.appendingPathComponent(".data/zoo"))
      .appendingPathComponent("onnx")
  }()

  /// The lines of all cases, for the article of what is supported.
  private static func write(_ results: [String]) throws {
    let folder = folder.deletingLastPathComponent().appendingPathComponent("results")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let text = results.sorted().map { $0 + "\n" }.joined()
    try Data(text.utf8).write(to: folder.appendingPathComponent("onnx.tsv"))
  }

  static func cases() throws -> [Case] {
    var found: [Case] = []
    for kind in OnnxConformance.kinds {
      let folder = Self.folder.appendingPathComponent(kind)
      let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
      found += (names ?? []).sorted().compactMap { Case(folder.appendingPathComponent($0)) }
    }
    return found
  }

  @Test(
    "ONNX's backend tests pass, but for what is refused by name",
    .enabled(if: FileManager.default.fileExists(atPath: folder.path)))
  func backendTests() throws {
    var passed: [String: Int] = [:]
    var rowByRow = 0
    var refused: [String: [String]] = [:]
    var failed: [String] = []
    var results: [String] = []
    for test in try Self.cases() {
      switch try test.run() {
      case .passed(let rows):
        passed[test.kind, default: 0] += 1
        rowByRow += rows ? 1 : 0
        results += test.results("agrees", "")
      case .refused(let reason):
        refused[reason, default: []].append(test.name)
        results += test.results("refused", reason)
      case .failed(let reason):
        failed.append("\(test.name): \(reason)")
        results += test.results("differs", reason)
      }
    }
    try Self.write(results)
    for (reason, names) in refused.sorted(by: { $0.key < $1.key }) {
      let why = OnnxConformance.reason(reason)
      print("refused \(names.count) for \(reason): \(why ?? "not recorded")")
      if why == nil { Issue.record("\(reason) is refused without a recorded reason") }
    }
    for line in failed { print("FAILED \(line)") }
    let refusals = refused.values.reduce(0) { $0 + $1.count }
    let all = passed.values.reduce(0, +)
    print("ONNX backend: \(all) passed, \(rowByRow) of them also row by row")
    for kind in OnnxConformance.kinds {
      print("ONNX backend: \(passed[kind] ?? 0) passed of \(kind)")
    }
    print("ONNX backend: \(refusals) refused by name, \(failed.count) failed")
    #expect(failed.isEmpty)
    for kind in OnnxConformance.kinds {
      #expect(passed[kind] ?? 0 >= OnnxConformance.leastPassed[kind] ?? 0, "\(kind)")
    }
  }
}

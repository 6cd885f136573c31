import Foundation
import Inference
import Synchronization
import Testing

/// Collects a line from each case; with the last one it writes them all down and sums them up.
enum ZooReport {
  private static let lines = Mutex<[String: [String: (ZooCase, ZooVerdict)]]>([:])

  /// The share of the cases, and of what they are about, that may be refused.
  private static let mostRefused = 0.05

  static func add(_ zoo: ZooCase, _ verdict: ZooVerdict, family: String) {
    let all = lines.withLock { lines in
      lines[family, default: [:]][zoo.name] = (zoo, verdict)
      return lines[family] ?? [:]
    }
    guard all.count == ZooCase.all(family).count else { return }
    let sorted = all.values.sorted { $0.0.name < $1.0.name }
    write(sorted, family)
    var counts: [ZooVerdict.Kind: Int] = [:]
    for (_, verdict) in sorted { counts[verdict.kind, default: 0] += 1 }
    func count(_ kind: ZooVerdict.Kind) -> Int { counts[kind] ?? 0 }
    print(
      "\(family): \(sorted.count) cases: \(count(.agrees)) agree, \(count(.onnxruntime)) are as near "
        + "as ONNX Runtime, \(count(.refused)) are refused, \(count(.differs)) differ")
    for (zoo, verdict) in sorted where verdict.kind == .refused || verdict.kind == .differs {
      print("  \(zoo.name): \(verdict.kind.rawValue): \(verdict.reasons.first ?? "")")
    }
    let estimators = Set(sorted.map(\.0.about))
    let refused = estimators.subtracting(
      sorted.filter { $0.1.kind != .refused }.map(\.0.about))
    if Double(refused.count) > mostRefused * Double(estimators.count) {
      Issue.record("\(refused.count) of \(estimators.count) are refused: \(refused.sorted())")
    }
    if Double(count(.refused)) > mostRefused * Double(sorted.count) {
      Issue.record("\(count(.refused)) of \(sorted.count) cases are refused")
    }
  }

  /// A line a case: what it is about, its name, the verdict, the largest difference, the reason.
  private static func write(_ lines: [(ZooCase, ZooVerdict)], _ family: String) {
    guard ProcessInfo.processInfo.environment["ROWCAST_ZOO_CASE"] == nil else { return }
    let folder = ZooCase.root.appendingPathComponent("results")
    let text = lines.map { zoo, verdict in
      let difference =
        verdict.kind == .refused ? "-" : String(format: "%.1e", verdict.difference)
      let reason = (verdict.reasons.first ?? "")
        .replacing("\t", with: " ").replacing("\n", with: " ")
      return [zoo.about, zoo.name, verdict.kind.rawValue, difference, reason]
        .joined(separator: "\t") + "\n"
    }
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data(text.joined().utf8).write(to: folder.appendingPathComponent("\(family).tsv"))
    } catch {
      Issue.record("the results of \(family) cannot be written: \(error)")
    }
  }
}

import Foundation
import Inference

/// A model that the conformance run makes: rows, and what its library and ONNX Runtime compute.
///
/// Written by `Tests/Training/zoo_case.py`, which says what the files hold.
struct ZooCase: Decodable, Sendable {
  struct Field: Decodable, Sendable {
    var name: String
    var type: ElementType
  }

  struct Column: Decodable, Sendable {
    var column: String
    var type: ElementType
  }

  struct Runtime: Decodable, Sendable {
    /// Why ONNX Runtime does not run the file; nil where it does.
    var refusal: String?
  }

  var name: String
  /// The estimator or operator that the case is about.
  var about: String
  var rows: Int
  var features: [Field]
  var outputs: [Column]
  var onnxruntime: Runtime

  /// The folder of all families: `$ROWCAST_ZOO`, or `.data/zoo` of the repository.
  static let root =
    ProcessInfo.processInfo.environment["ROWCAST_ZOO"].map(URL.init(fileURLWithPath:))
    ?? ParityCase.root.appendingPathComponent(".data/zoo")

  /// The names of a family's cases, in order; those that hold `$ROWCAST_ZOO_CASE` where it is set.
  static func all(_ family: String) -> [String] {
    let folder = root.appendingPathComponent(family)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    let wanted = ProcessInfo.processInfo.environment["ROWCAST_ZOO_CASE"]
    return names.filter { name in
      (wanted.map(name.contains) ?? true)
        && FileManager.default.fileExists(atPath: "\(folder.path)/\(name)/case.json")
    }.sorted()
  }

  private static func file(_ family: String, _ name: String, _ file: String) -> URL {
    root.appendingPathComponent("\(family)/\(name)/\(file)")
  }

  static func read(_ family: String, _ name: String) throws -> ZooCase {
    try JSONDecoder().decode(
      ZooCase.self, from: Data(contentsOf: file(family, name, "case.json")))
  }

  static func bytes(_ family: String, _ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: file(family, name, "model.onnx")))
  }

  static func table(_ family: String, _ name: String, _ table: String) throws -> TextTable {
    let data = try Data(contentsOf: file(family, name, "\(table).csv"))
    return try TextTable(csv: String(decoding: data, as: UTF8.self))
  }
}

/// How near a case's answers are to its library's.
struct ZooVerdict: Sendable {
  enum Kind: String, Sendable {
    case agrees
    /// Only as near as ONNX Runtime comes on the same file.
    case onnxruntime
    case refused
    case differs
  }

  var kind = Kind.agrees
  /// Largest |got - want| / max(|want|, 1).
  var difference = 0.0
  /// Why it is refused, or the first few disagreements.
  var reasons: [String] = []

  /// What counts as the same value.
  static let tolerance = 1e-5

  mutating func complain(_ text: String) {
    kind = .differs
    if reasons.count < 5 { reasons.append(text) }
  }

  /// Labels, or whatever is no fraction: the library's, or ONNX Runtime's where that differs.
  mutating func compare(
    exact got: String, _ want: String, runtime: String?, row: Int, column: String
  ) {
    if got == want { return }
    if got == runtime {
      if kind == .agrees { kind = .onnxruntime }
    } else {
      complain("row \(row): \(column) is \(got), \(want) was expected")
    }
  }

  mutating func compare(
    _ got: Double, _ want: Double, runtime: Double?, row: Int, column: String
  ) {
    let distance = Agreement.difference(got, want, floor: 1)
    difference = max(difference, distance)
    if distance <= Self.tolerance { return }
    if let runtime,
      Agreement.difference(got, runtime, floor: 1) <= Self.tolerance
        || distance <= Agreement.difference(runtime, want, floor: 1)
    {
      if kind == .agrees { kind = .onnxruntime }
    } else {
      complain("row \(row): \(column) is \(got), \(want) was expected")
    }
  }
}

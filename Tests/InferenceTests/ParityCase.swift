import Foundation
import Inference

/// One fixture: a model, rows, and what the library that trained it answers.
struct ParityCase: Decodable, Sendable {
  struct Feature: Decodable, Sendable {
    var name: String
    var type: ElementType
    /// nil where either answer is right: a model trained without missing values.
    var missing: Signature.Missing?
  }

  struct Output: Decodable, Sendable {
    /// The column of `expected.csv`.
    var column: String
    /// The engine's name for it; nil where it is known by role and class alone.
    var output: String?
    var role: Signature.Role
    var `class`: String?
    var type: ElementType
    /// The type that the source library computed in.
    var computed: ElementType
    /// The magnitude below which a difference counts as absolute.
    var floor: Double

    func matches(_ other: Signature.Output) -> Bool {
      other.role == role && other.type == type
        && (output.map { $0 == other.name } ?? (other.className == `class`))
    }
  }

  var name: String
  var library: String
  var model: String
  var rows: Int
  var tolerance: Double
  var features: [Feature]
  var outputs: [Output]

  private static let testFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  static let root = testFolder.deletingLastPathComponent().deletingLastPathComponent()
  static let folder = testFolder.appendingPathComponent("Fixtures")

  /// The names of all fixtures, in order.
  static func all() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { FileManager.default.fileExists(atPath: "\(folder.path)/\($0)/case.json") }
      .sorted()
  }

  static func read(_ name: String) throws -> ParityCase {
    let data = try Data(contentsOf: folder.appendingPathComponent("\(name)/case.json"))
    return try JSONDecoder().decode(ParityCase.self, from: data)
  }

  func bytes() throws -> [UInt8] {
    [UInt8](try Data(contentsOf: Self.folder.appendingPathComponent("\(name)/\(model)")))
  }

  func table(_ file: String) throws -> TextTable {
    try Self.table(at: "Tests/InferenceTests/Fixtures/\(name)/\(file).csv")
  }

  /// A table by its path from the repository's root.
  static func table(at path: String) throws -> TextTable {
    let data = try Data(contentsOf: root.appendingPathComponent(path))
    return try TextTable(csv: String(decoding: data, as: UTF8.self))
  }
}

/// How far an answer is from the source library's.
struct Agreement {
  var rows = 0
  var refused = 0
  var labels = 0
  var equalLabels = 0
  var largestDifference = 0.0
  /// The first few disagreements, in words.
  var complaints: [String] = []

  /// |got - want| relative to the wanted value, or to the floor where that is larger.
  static func difference(_ got: Double, _ want: Double, floor: Double) -> Double {
    if got == want || got.isNaN && want.isNaN { return 0 }
    let scale = max(want.magnitude, floor)
    let difference = (got - want).magnitude / scale
    return difference.isNaN ? .infinity : difference
  }

  mutating func complain(_ text: String) {
    if complaints.count < 5 { complaints.append(text) }
  }

  mutating func compare(
    label cells: [String?], _ column: Column, _ output: ParityCase.Output, failed: Set<Int>
  ) {
    for (row, cell) in cells.enumerated() where !failed.contains(row) {
      let got = output.type == .string ? column.exact(row) : "\(Int(column.number(row) ?? .nan))"
      labels += 1
      if got == cell ?? "" {
        equalLabels += 1
      } else {
        complain("row \(row): label is \(got), \(cell ?? "nothing") was expected")
      }
    }
  }

  mutating func compare(
    numbers cells: [String?], _ column: Column, _ output: ParityCase.Output, failed: Set<Int>,
    tolerance: Double
  ) throws {
    let wanted = try Column(cells, as: output.computed)
    for row in cells.indices where !failed.contains(row) {
      guard let want = wanted.number(row), let got = column.number(row) else {
        throw ParityError("\"\(output.column)\" is not a number")
      }
      let difference = Self.difference(got, want, floor: output.floor)
      largestDifference = max(largestDifference, difference)
      if difference > tolerance {
        complain("row \(row): \(output.column) is \(got), \(want) was expected (\(difference))")
      }
    }
  }
}

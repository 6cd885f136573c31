internal import Foundation

/// Entries of an FAQ, questions about them, a model that matches the two, and what Python says of each pair.
package struct FaqFixture: Sendable {
  /// How well questions find their entries, in Python.
  package struct Metrics: Decodable, Sendable {
    package let top_1, top_2, top_3, mean_rank: Double
  }

  package let model: [UInt8]
  package let metrics: Metrics
  package let entries: (ids: [Int32], texts: [String])
  package let questions: (ids: [Int32], texts: [String], rightEntries: [Int32])
  package let expected: (questions: [Int32], entries: [Int32], probabilities: [Float])

  /// The small set, of made-up sentences, that the examples use.
  package static func madeUp() throws -> FaqFixture {
    try FaqFixture(Fixtures.root.appending(path: "sql/examples/models/faq"))
  }

  /// The one that is trained on data which is not committed, by `make faq`.
  package static func trained() throws -> FaqFixture { try FaqFixture(folder) }

  package static var isTrained: Bool {
    FileManager.default.fileExists(atPath: folder.appending(path: "metrics.json").path)
  }

  /// Why tests of it are skipped.
  package static let missing = ".data/faq is missing: see Tests/Training/make_faq_model.py"
  private static let folder = Fixtures.root.appending(path: ".data/faq")

  private struct Unread: Error { var field: String }

  private init(_ folder: URL) throws {
    func table(_ name: String) throws -> [[Substring]] {
      try String(contentsOf: folder.appending(path: name), encoding: .utf8)
        .split(separator: "\n").map {
          $0.split(separator: "\t", omittingEmptySubsequences: false)
        }
    }
    func column<Value>(
      _ rows: [[Substring]], _ place: Int, _ read: (Substring) -> Value?
    ) throws -> [Value] {
      try rows.map { row in
        guard row.indices.contains(place), let value = read(row[place]) else {
          throw Unread(field: row.joined(separator: "\t"))
        }
        return value
      }
    }
    func numbers(_ rows: [[Substring]], _ place: Int) throws -> [Int32] {
      try column(rows, place) { Int32($0) }
    }
    model = Array(try Data(contentsOf: folder.appending(path: "model.onnx")))
    metrics = try JSONDecoder().decode(
      Metrics.self, from: Data(contentsOf: folder.appending(path: "metrics.json")))
    let (entries, questions) = (try table("entries.tsv"), try table("questions.tsv"))
    let expected = try table("expected.tsv")
    self.entries = (try numbers(entries, 0), try column(entries, 1) { String($0) })
    self.questions = (
      try numbers(questions, 0), try column(questions, 1) { String($0) },
      try numbers(questions, 2)
    )
    self.expected = (
      try numbers(expected, 0), try numbers(expected, 1), try column(expected, 2) { Float($0) }
    )
  }
}

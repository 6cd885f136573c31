import Foundation
import Inference
import Scoring
import Testing

/// Scores text as `rowcast predict` does, through files.
enum FileScene {
  static func predict(
    _ text: String, _ model: Model, options: FilePrediction.Options = .init()
  ) async throws -> (lines: [String], summary: FilePrediction.Summary) {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let input = folder.appending(path: "in")
    let output = folder.appending(path: "out")
    try Data(text.utf8).write(to: input)
    try Data().write(to: output)
    let reading = try FileHandle(forReadingFrom: input)
    let writing = try FileHandle(forWritingTo: output)
    var options = options
    options.threads = 3
    let summary = try await FilePrediction(model: model, options: options)
      .run(from: reading.fileDescriptor, to: writing.fileDescriptor)
    try writing.close()
    let answer = String(decoding: try Data(contentsOf: output), as: UTF8.self)
    return (
      answer.split(separator: "\n", omittingEmptySubsequences: false).map(String.init), summary
    )
  }
}

extension FileScene {
  /// Expects that a file for a model with the one feature `value` is refused as a whole.
  static func expectRefusal(
    of text: String, message: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let model = try Model.load(TestModel.anomaly(device: 1, sensor: 1))
    let error = await #expect(throws: ScoringError.self, sourceLocation: sourceLocation) {
      _ = try await predict(text, model)
    }
    #expect(error?.code == .file, sourceLocation: sourceLocation)
    #expect(
      error?.message.contains(message) == true, "\(error?.message ?? "")",
      sourceLocation: sourceLocation)
  }
}

extension FilePrediction.Options {
  init(
    from: RecordFormat? = nil, to: RecordFormat? = nil, keep: [String]? = nil,
    hasFailures: Bool = true, blockByteCount: Int = 1 << 20
  ) {
    self.init()
    self.from = from
    self.to = to
    self.keep = keep
    self.hasFailures = hasFailures
    self.blockByteCount = blockByteCount
  }
}

import Foundation
import Inference
import ModelFixtures
import Testing

/// ONNX models whose weights are in a file beside them.
@Suite struct ExternalDataTests {
  /// y = x times a matrix whose bytes are at `offset` of `location`.
  static func model(location: String, offset: Int, length: Int?) -> [UInt8] {
    var entries = [(key: "location", value: location), (key: "offset", value: "\(offset)")]
    if let length { entries.append((key: "length", value: "\(length)")) }
    var model = OnnxWriter()
    model.input("x", .float, [nil, 3])
    model.externalInitializer("w", dims: [3, 2], entries)
    model.node("MatMul", name: "product", ["x", "w"], ["y"])
    model.output("y", .float, [nil, 2])
    return model.bytes()
  }

  static let weights: [Float] = [1, 2, 3, 4, 5, 6]

  private static func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.path + "/external-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: folder + "/model", withIntermediateDirectories: true)
    let bytes =
      [UInt8](repeating: 9, count: 8)
      + weights.flatMap { number in
        withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
      }
    for place in ["/model/model.onnx.data", "/secret.bin"] {
      try Data(bytes).write(to: URL(fileURLWithPath: folder + place))
    }
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/model/link.bin", withDestinationPath: folder + "/secret.bin")
    try FileManager.default.createDirectory(
      atPath: folder + "/model2", withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: folder + "/model2/near.bin"))
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/model/near.bin", withDestinationPath: folder + "/model2/near.bin")
    return folder
  }

  private static func score(_ model: Model) throws -> [Float] {
    let columns = (0..<3).map { Column(.float32([Float($0 + 1)])) }
    let found = try model.predict(Batch(rowCount: 1, columns: columns), workspace: Workspace())
    return try found.columns.map { column in
      guard case .float32(let values) = column.values else {
        throw ModelError(.mismatch, "not floats")
      }
      return values[0]
    }
  }

  @Test("the file's part becomes a part of the model", arguments: [nil, 24])
  func embedded(length: Int?) throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bytes = Self.model(location: "model.onnx.data", offset: 8, length: length)
    let whole = try Model.embedding(bytes, directory: folder + "/model")
    #expect(whole.count > bytes.count - 60 && whole != bytes)
    #expect(try Self.score(Model.load(whole)) == [22, 28])
    #expect(try Self.score(Model.load(bytes, directory: folder + "/model")) == [22, 28])
    // What is whole stays as it is.
    #expect(try Model.embedding(whole, directory: "/nowhere") == whole)
    #expect(
      try Model.embedding(Array("tree\n".utf8), directory: "/nowhere") == Array("tree\n".utf8))
  }

  @Test("without the folder the model is refused, and says what to do")
  func refusedAlone() {
    let error = #expect(throws: ModelError.self) {
      try Model.load(Self.model(location: "model.onnx.data", offset: 8, length: 24))
    }
    #expect(error?.code == .unsupported)
    #expect(error?.hint?.contains("rowcast push") == true)
  }

  @Test(
    "paths that leave the folder, files that are not there or too short are refused",
    arguments: [
      ("../secret.bin", 8, 24, "outside"), ("/etc/passwd", 0, 24, "outside"),
      ("link.bin", 8, 24, "\"link.bin\""), ("near.bin", 8, 24, "\"near.bin\""),
      ("gone.bin", 8, 24, "\"gone.bin\""), ("model.onnx.data", 16, 24, "which has 32"),
      ("model.onnx.data", -1, 24, "which has 32"), ("model.onnx.data", 8, -5, "which has 32"),
      ("", 0, 24, "outside"),
    ])
  func refused(location: String, offset: Int, length: Int, words: String) throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bytes = Self.model(location: location, offset: offset, length: length)
    for load in [
      { _ = try Model.embedding(bytes, directory: folder + "/model") },
      { _ = try Model.load(bytes, directory: folder + "/model") },
    ] {
      let error = #expect(throws: ModelError.self) { try load() }
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
      #expect(error?.message.contains("\"w\"") == true)
    }
  }

  @Test("all files together are held against the limit")
  func limit() throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let bytes = Self.model(location: "model.onnx.data", offset: 8, length: 24)
    let error = #expect(throws: ModelError.self) {
      try Model.embedding(bytes, directory: folder + "/model", limit: bytes.count + 23)
    }
    #expect(error?.code == .tooLarge)
  }
}

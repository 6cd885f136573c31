import Foundation
import ModelFixtures
import Postgres
import TestSupport
import Testing

/// ONNX models with a file of weights beside them.
@Suite("External data", .database)
struct ExternalDataTests {
  private var database: String { Database.current.settings.description }

  private static let weights = [Float(1), 2, 3, 4, 5, 6].flatMap { number in
    withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
  }

  /// y = x times a matrix whose numbers are in another file.
  private static func model(_ location: String) -> [UInt8] {
    var model = OnnxWriter()
    model.input("x", .float, [nil, 3])
    model.externalInitializer(
      "w", dims: [3, 2], [(key: "location", value: location), (key: "offset", value: "0")])
    model.node("MatMul", name: "product", ["x", "w"], ["y"])
    model.output("y", .float, [nil, 2])
    return model.bytes()
  }

  @Test("inspect, predict and push take the file, and a worker elsewhere needs it no more")
  func wholeWay() throws {
    let folder = try Folder()
    let file = try folder.write("net.onnx", Self.model("net.onnx.data"))
    let data = try folder.write("net.onnx.data", Self.weights)
    let rows = "x_0,x_1,x_2\n1,2,3\n"
    let inspect = try Program.run("inspect", file, "--json")
    #expect(inspect.status == 0, "\(inspect.errors)")
    let predict = try Program.run("predict", file, "-", input: rows)
    #expect(predict.status == 0, "\(predict.errors)")
    let scored = try #require(predict.output.split(separator: "\n").last)
    #expect(scored.split(separator: ",").compactMap { Double($0) } == [1, 2, 3, 22, 28])
    let push = try Program.run("push", file, "--name", "net", "--database", database)
    #expect(push.status == 0, "\(push.errors)")

    try FileManager.default.removeItem(atPath: data)
    let connection = try Database.current.connect()
    let stored = try connection.run(
      "select string_agg(bytes, ''::bytea order by part) from rowcast.model_part"
    ).value(0, 0, as: [UInt8].self)
    let elsewhere = try Folder()
    let copy = try elsewhere.write("copy.onnx", stored)
    #expect(try Program.run("predict", copy, "-", input: rows).output == predict.output)
  }

  @Test("a file that is not there or out of the folder is named, and nothing is stored")
  func refused() throws {
    let folder = try Folder()
    let secret = try Folder()
    try secret.write("secret.bin", Self.weights)
    let away = "../" + URL(filePath: secret.path).lastPathComponent + "/secret.bin"
    for (location, words) in [("gone.data", "\"gone.data\""), (away, "outside")] {
      let file = try folder.write("net.onnx", Self.model(location))
      for command in [
        ["inspect", file], ["predict", file, "-"],
        ["push", file, "--name", "net", "--database", database],
      ] {
        let run = try Program.run(command, input: "")
        #expect(run.status == 65, "\(command[0]): \(run.output)")
        #expect(run.errors.contains(words) && run.errors.contains("\"w\""), "\(run.errors)")
      }
    }
    #expect(try Program.run("models", "--json", "--database", database).output == "[]\n")
  }
}

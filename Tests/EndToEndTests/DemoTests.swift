import Foundation
import Testing

@Suite("demo", .serialized)
struct DemoTests {
  @Test("gives each row exactly one prediction, and leaves nothing behind")
  func demo() throws {
    let before = Set(try FileManager.default.contentsOfDirectory(atPath: "/tmp"))
    let run = try Program.run(
      "demo", "--seconds", "5", "--rate", "200", "--lanes", "2", timeout: .seconds(180))
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.hasSuffix("Each row has exactly one prediction.\n"))
    let inserted = Self.number(after: "rows inserted", in: run.output)
    #expect(inserted > 500)
    #expect(inserted == Self.number(after: "rows predicted", in: run.output))
    #expect(run.output.contains("first prediction visible "))
    #expect(run.output.contains("commit to prediction  p50 "))
    #expect(run.output.contains("predictions.sensor_anomaly"))
    let left = Set(try FileManager.default.contentsOfDirectory(atPath: "/tmp")).subtracting(before)
    #expect(!left.contains { $0.hasPrefix("rowcast-demo-") })
  }

  @Test("gives each picture a category or a reason")
  func images() throws {
    let run = try Program.run(
      "demo", "images", "--rate", "200", "--lanes", "2", timeout: .seconds(180))
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.hasSuffix("Each picture has a category, or a reason why not.\n"))
    #expect(Self.number(after: "pictures ", in: run.output) == 252)
    #expect(run.output.contains("PNG ends early"))
    #expect(run.output.contains("image has 20000 x 20000 pixels, the limit is 64000000"))
  }

  private static func number(after title: String, in text: String) -> Int {
    let line = text.split(separator: "\n").first { $0.contains(title) } ?? ""
    return Int(line.filter(\.isNumber)) ?? -1
  }
}

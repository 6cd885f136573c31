import Foundation
import FuzzChecks
import Testing

/// Models that once broke something: a folder a target, each file one finding of the fuzzers.
@Suite("Fuzz regressions")
struct FuzzRegressionTests {
  private static let folder = ParityCase.root.appendingPathComponent("Tests/Fuzz/Regressions")

  private static func files(_ target: FuzzTarget) -> [URL] {
    let place = folder.appendingPathComponent(target.rawValue)
    let files = try? FileManager.default.contentsOfDirectory(
      at: place, includingPropertiesForKeys: nil)
    return (files ?? []).sorted { $0.path < $1.path }
  }

  @Test("stay mended", arguments: FuzzTarget.allCases)
  func stayMended(target: FuzzTarget) throws {
    for file in Self.files(target) {
      let bytes = [UInt8](try Data(contentsOf: file))
      do throws(FuzzFinding) {
        try target.check(bytes)
      } catch {
        Issue.record("\(file.lastPathComponent): \(error)")
      }
    }
  }

  /// The committed models themselves keep every promise that the fuzzers ask for.
  @Test("the fixtures pass", arguments: try ParityCase.all())
  func fixturesPass(name: String) throws {
    #expect(try FuzzTarget.executor.check(try ParityCase.read(name).bytes()))
  }
}

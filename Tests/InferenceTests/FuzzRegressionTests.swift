import Foundation
import FuzzChecks
import Testing

/// Models that once broke something, or that lie at the edge of a guard: a folder a target.
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
    let files = Self.files(target)
    #expect(!files.isEmpty, "no file for \(target) below \(Self.folder.path)")
    for file in files {
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

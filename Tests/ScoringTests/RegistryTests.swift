import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Pushing: proved first, stored whole or not at all.
@Suite(.database, .timeLimit(.minutes(2)))
struct RegistryTests {
  private static func registry() throws -> Registry {
    Registry(try Connection(Database.current.settings))
  }

  @Test func aPushedModelIsReadyUnderItsAlias() throws {
    let registry = try Self.registry()
    let bytes = try TestModel.anomaly(device: 1, sensor: 1)
    let answer = try Model.load(bytes).predict(
      Batch(rowCount: 1, columns: [Column(.float32([60.46]))]), workspace: Workspace())
    guard case .int64(let labels) = answer.columns[0].values,
      case .float32(let decisions) = answer.columns[1].values
    else {
      Issue.record("the model's outputs are of other types")
      return
    }
    let pushed = try registry.push(
      .init(
        name: "a", bytes: bytes, alias: "champion",
        goldenCSV: Array("value,label,decision\n60.46,\(labels[0]),\(decisions[0])\n".utf8)))
    #expect(pushed.version == 1 && pushed.isNew && pushed.isReady)
    #expect(pushed.format == .onnx && pushed.goldenRowCount == 1)
    let again = try registry.push(.init(name: "a", bytes: bytes))
    #expect(again.version == 1 && !again.isNew)
    let other = try registry.push(
      .init(name: "a", bytes: TestModel.anomaly(device: 1, sensor: 2), alias: "challenger"))
    #expect(other.version == 2)
    let listed = try registry.versions()
    #expect(listed.map(\.aliases) == [["champion"], ["challenger"]])
    #expect(listed.map(\.state) == ["ready", "ready"])
    #expect(listed[0].goldenRowCount == 1 && listed[0].byteCount == bytes.count)
    #expect(listed[0].sha256 == pushed.sha256)
  }

  @Test func whatCannotBeScoredIsNotStored() throws {
    let registry = try Self.registry()
    let bytes = try TestModel.anomaly(device: 1, sensor: 1)
    var refusals: [String] = []
    for (bytes, golden) in [
      (Array(bytes.dropLast(40)), nil), (Array("no model at all".utf8), nil),
      (bytes, "value,label\n60.46,-1\n"), (bytes, "value\n60.46\n"),
      (bytes, "value,label\n60.46\n"), (bytes, "value,label\n,1\n"),
    ] as [([UInt8], String?)] {
      do throws(WorkError) {
        _ = try registry.push(
          .init(name: "bad", bytes: bytes, goldenCSV: golden.map { Array($0.utf8) }))
        Issue.record("a bad file was registered")
      } catch {
        refusals.append(error.message)
      }
    }
    #expect(refusals.count == 6)
    #expect(refusals[2].contains("golden row 1") && refusals[2].contains("the trainer had -1"))
    #expect(refusals[3].contains("no output"))
    #expect(refusals[4].contains("line 2"))
    #expect(refusals[5].contains("cannot be scored"))
    #expect(try registry.versions().isEmpty)
  }

  @Test func numbersOfGoldenRowsAreComparedWithinTheTolerance() throws {
    let registry = try Self.registry()
    let bytes = TestModel.sum(of: ["a"])
    let model = try Model.load(bytes)
    let score = try model.predict(
      Batch(rowCount: 1, columns: [Column(.float64([3]))]), workspace: Workspace()
    ).columns[0]
    guard case .float64(let values) = score.values else { return }
    _ = try registry.push(
      .init(
        name: "g", bytes: bytes,
        goldenCSV: Array("a,score\n3,\(values[0] * (1 + 1e-13))\n".utf8)))
    do throws(WorkError) {
      _ = try registry.push(
        .init(
          name: "h", bytes: bytes,
          goldenCSV: Array("a,score\n3,\(values[0] + 1e-9)\n".utf8)))
      Issue.record("a golden row that disagrees was taken")
    } catch {
      #expect(error.message.contains("output \"score\""))
    }
  }
}

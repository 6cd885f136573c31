import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// Jobs that read files, and jobs that write them.
@Suite(.database, .timeLimit(.minutes(3)))
struct JobFileTests {
  /// A directory of files for the workers of a test, gone with it.
  private final class Folder: Sendable {
    let url = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

    init() throws {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: url) }

    func write(_ text: String, to name: String) throws {
      try Data(text.utf8).write(to: url.appending(path: name))
    }
    func lines(of name: String) throws -> [String] {
      try String(contentsOf: url.appending(path: name), encoding: .utf8)
        .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
    var names: [String] {
      get throws {
        try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
      }
    }
  }

  private func worker(_ scene: Scene, _ folder: Folder?, lanes: Int = 2) -> Worker {
    var configuration = WorkerConfiguration(settings: scene.settings)
    configuration.laneCount = lanes
    configuration.filesDirectory = folder?.url.path
    return Worker(configuration, logger: Scene.silent) { scene.record($0) }
  }

  private func push(_ scene: Scene) throws {
    try scene.push("anomaly", TestModel.anomaly(device: 1, sensor: 1))
  }

  @Test func filesAreScoredIntoATable() async throws {
    let scene = try Scene()
    let folder = try Folder()
    try await scene.withWorkers([worker(scene, folder), worker(scene, nil)]) { connection, _ in
      try push(scene)
      // Larger than a piece, with a line break inside quotes, a missing value and a wrong one.
      var text = "id,note,value\n"
      for row in 1...120_000 { text += "\(row),\"n \(row)\nsecond line\",\(row % 10)\n" }
      try folder.write(text + "120001,,\n120002,x,abc\n", to: "a.csv")
      try folder.write("{\"value\": 1.5, \"id\": 7, \"note\": \"\\u00e4\"}\n", to: "b.csv")
      let job = try scene.submit(
        "select rowcast.submit_job('anomaly', 'file:*.csv', 'scored', keep => array['id', 'note'])",
        connection)
      #expect(try scene.end(of: job, connection).state == "done")
      #expect(
        try connection.run(
          """
          select concat_ws(' ', count(*), count(distinct id || note), count(label),
                           max(note) filter (where id = '77'),
                           count(*) filter (where note = 'ä' and id = '7')) from scored
          """
        ).value(0, 0, as: String.self) == "120001 120001 120001 n 77\nsecond line 1")
      let failures = try connection.run(
        "select place, code from rowcast.job_failures where job_id = \(job) order by place")
      #expect(
        try (0..<failures.count).map { try failures.value($0, 0, as: String.self) } == [
          "a.csv:240002", "a.csv:240003",
        ])
      #expect(try failures.value(1, 1, as: String.self) == "wrong_type")
      #expect(
        try connection.run(
          "select concat_ws(' ', rows_done, rows_failed, rows_total) from rowcast.job_progress"
        ).value(0, 0, as: String.self) == "120003 2 120003")
    }
  }

  @Test func aTableIsExportedInOrder() async throws {
    let scene = try Scene()
    let folder = try Folder()
    try await scene.withWorkers([worker(scene, folder), worker(scene, nil)]) { connection, _ in
      try push(scene)
      try connection.runScript(
        """
        create table reading (id int primary key, value real, note text, flag boolean, doc jsonb);
        insert into reading
        select i, nullif(i % 1000, 7), case when i % 2 = 0 then 'a,"b"' end, i % 3 = 0, '{"k": [1]}'
        from generate_series(1, 30000) as i;
        """)
      let csv = try scene.submit(
        """
        select rowcast.submit_job('anomaly', 'reading', 'file:out.csv',
                                  keep => array['note', 'flag', 'doc'])
        """, connection)
      #expect(try scene.end(of: csv, connection).state == "done")
      let lines = try folder.lines(of: "out.csv")
      #expect(
        lines[0]
          == "id,note,flag,doc,label,decision,model_name,model_version,job,scored_at,failure")
      #expect(lines.count == 30_002 && lines.last == "")
      #expect(
        lines[1...30_000].enumerated().allSatisfy { $1.hasPrefix("\($0 + 1),") },
        "in the order of the table")
      #expect(lines[2].hasPrefix("2,\"a,\"\"b\"\"\",false,\"{\"\"k\"\": [1]}\","))
      #expect(lines[7].hasPrefix("7,,false,") && lines[7].contains(",,,,,,"))
      #expect(try folder.names == ["out.csv"], "nothing half is left")

      let taken = try scene.submit(
        "select rowcast.submit_job('anomaly', 'reading', 'file:out.csv')", connection)
      #expect(try scene.end(of: taken, connection).error == "file \"out.csv\" exists")
      let ndjson = try scene.submit(
        """
        select rowcast.submit_job('anomaly', 'reading', 'file:out.csv', mode => 'replace',
                                  format => 'ndjson', keep => array['note', 'flag', 'doc'])
        """, connection)
      #expect(try scene.end(of: ndjson, connection).state == "done")
      let objects = try folder.lines(of: "out.csv")
      #expect(objects.count == 30_001)
      #expect(
        objects[1].hasPrefix(
          "{\"id\":2,\"note\":\"a,\\\"b\\\"\",\"flag\":false,\"doc\":{\"k\": [1]},\"label\":"))
      #expect(
        try connection.run("select count(*) from rowcast.export_part").value(0, 0, as: Int64.self)
          >= 0)
    }
  }

  @Test func aFileIsScoredIntoAFile() async throws {
    let scene = try Scene()
    let folder = try Folder()
    try await scene.withWorkers([worker(scene, folder)]) { connection, _ in
      try push(scene)
      try FileManager.default.createDirectory(
        at: folder.url.appending(path: "in"), withIntermediateDirectories: false)
      try folder.write("name,value\nx,1\n\"y,z\",2\n", to: "in/a.csv")
      let job = try scene.submit(
        "select rowcast.submit_job('anomaly', 'file:in/a.csv', 'file:b.csv')", connection)
      #expect(try scene.end(of: job, connection).state == "done")
      let lines = try folder.lines(of: "b.csv")
      #expect(lines.count == 4)
      #expect(lines[0].hasPrefix("name,value,label,decision,model_name"))
      #expect(lines[2].hasPrefix("\"y,z\",2,"))
    }
  }

  @Test func whatLiesOutsideIsRefused() async throws {
    let scene = try Scene()
    let folder = try Folder()
    try await scene.withWorkers([worker(scene, folder)]) { connection, _ in
      try push(scene)
      for path in [
        "file:../x.csv", "file:/etc/passwd", "file:a/../../x", "file:", "file:a//b", "file:./a",
      ] {
        for (source, destination) in [(path, "t"), ("file:a.csv", path)] {
          let refusal = #expect(throws: PostgresError.self) {
            try connection.run("select rowcast.submit_job('anomaly', \(source), \(destination))")
          }
          #expect(refusal?.sqlState == "RC313", "\(path)")
        }
      }
      let outside = try Folder()
      try outside.write("value\n1\n", to: "secret.csv")
      for (link, target) in [("link.csv", "secret.csv"), ("dir", "")] {
        try FileManager.default.createSymbolicLink(
          at: folder.url.appending(path: link),
          withDestinationURL: outside.url.appending(path: target))
      }
      func error(_ source: String, _ destination: String) throws -> String {
        let job = try scene.submit(
          "select rowcast.submit_job('anomaly', \(source), \(destination))", connection)
        return try scene.end(of: job, connection).error ?? "none"
      }
      #expect(try error("file:link.csv", "t1").contains("links are not followed"))
      #expect(try error("file:dir/secret.csv", "t2").contains("links are not followed"))
      #expect(try error("file:none.csv", "t3").contains("No such file"))
      #expect(try error("file:*.txt", "t4") == "no file is named like \"*.txt\"")
      // As long as it takes to try all ways in which stars could fit, nobody waits.
      try folder.write("value\n1\n", to: String(repeating: "a", count: 200) + ".csv")
      #expect(
        try error("file:" + String(repeating: "*a", count: 40) + "b.csv", "t6")
          .hasPrefix("no file is named like"))
      try folder.write("value\n1\n", to: "a.csv")
      #expect(try error("file:a.csv", "file:dir/out.csv").contains("links are not followed"))
      #expect(try error("file:a.csv", "file:link.csv") == "file \"link.csv\" exists")
      #expect(try outside.names == ["secret.csv"])
      try folder.write("other\n1\n", to: "b.csv")
      #expect(try error("file:b.csv", "t5").contains("no column \"value\""))
    }
  }
}

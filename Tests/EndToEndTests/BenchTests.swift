import Foundation
import Postgres
import TestSupport
import Testing

/// `rowcast bench` in its smallest form: that each part measures, not what it finds.
@Suite("bench", .emptyDatabase)
struct BenchTests {
  private static func json(_ run: Program.Outcome) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  /// Numbers of a report, by their path; each must be there.
  private static func number(_ report: [String: Any], _ path: String...) throws -> Double {
    var value: Any = report
    for name in path {
      value = try #require((value as? [String: Any])?[name], "\(path) has no \(name)")
    }
    return try #require(value as? Double, "\(path) is no number")
  }

  private var database: String { Database.current.settings.description }

  private static let tiny = [
    "--rows", "3000", "--repeats", "1", "--lanes", "2", "--inserts", "20", "--writers", "4",
    "--round-seconds", "1", "--json",
  ]

  @Test("bulk and its peer, latency, writers and updates stand beside their floors")
  func short() throws {
    // Copies our own predictions: a peer that scores without any work.
    let folder = try Folder()
    let peer = try folder.write(
      "peer.sh",
      """
      echo ready
      read -r line
      psql -qXc "insert into $ROWCAST_PEER_TARGET (id, label, probability)
                 select id, label, probability from predictions.rowcast_bench_bulk"
      echo '{"name": "copy", "rows": 3000, "seconds": 0.5}'
      """)
    let run = try Program.run(
      ["bench", "bulk", "latency", "writers", "updates", "--no-fsync", "--peer", "bash \(peer)"]
        + Self.tiny, timeout: .seconds(240))
    #expect(run.status == 0, "\(run.errors)")
    let report = try Self.json(run)
    for part in ["bulk", "rescore"] {
      #expect(try Self.number(report, part, "rowsPerSecond") > 0)
      #expect(try Self.number(report, part, "floorRowsPerSecond") > 0)
      #expect(try Self.number(report, part, "cost", "walBytes") > 0)
    }
    let bulk = try #require(report["bulk"] as? [String: Any])
    let peers = try #require(bulk["peers"] as? [[String: Any]])
    #expect(peers.map { $0["name"] as? String } == ["copy"])
    #expect(peers.map { $0["largestDifference"] as? Double } == [0])
    #expect(try Self.number(report, "latency", "floor", "p50") > 0)
    #expect(try Self.number(report, "latency", "fromInsert", "p99") > 0)
    #expect(try Self.number(report, "writers", "watchedCommitsPerSecond") > 0)
    let updates = try #require(report["updates"] as? [String: Any])
    let statements = try #require(updates["statements"] as? [[String: Any]])
    // Every inserted row, and none whose features stay as they are.
    #expect(statements.map { $0["logged"] as? Int } == [3000, 3000, 0, 0, 3000])
    #expect(report["mixed"] == nil)
  }

  @Test(
    "mixed, a held snapshot, workers and a soak run in a database that is given, and leave nothing")
  func long() throws {
    let migrated = try Program.run("migrate", "--database", database)
    #expect(migrated.status == 0, "\(migrated.errors)")
    let before = try objects()
    let run = try Program.run(
      [
        "bench", "mixed", "held-snapshot", "workers", "soak", "--minutes", "0.05", "--rate", "100",
        "--kill-every", "1", "--worker-rows", "5000", "--database", database,
      ] + Self.tiny, timeout: .seconds(300))
    #expect(run.status == 0, "\(run.errors)")
    let report = try Self.json(run)
    #expect(try Self.number(report, "mixed", "live", "p99") > 0)
    #expect(try Self.number(report, "mixed", "floor", "p99") > 0)
    for period in ["without", "held"] {
      // Ticks are looked at now and then, in so short a time perhaps never.
      #expect(try Self.number(report, "heldSnapshot", period, "scoredPerSecond") > 0)
    }
    let workers = try #require(report["workers"] as? [String: Any])
    let processes = try #require(workers["processes"] as? [[String: Any]])
    #expect(processes.map { $0["processes"] as? Int } == [1, 2, 4])
    #expect(try Self.number(report, "soak", "kills") >= 1)
    #expect(try Self.number(report, "soak", "modelLoads") > 0)
    for wrong in ["missing", "leftOver", "failures", "openChunks", "differing"] {
      #expect(try Self.number(report, "soak", wrong) == 0)
    }
    #expect(try objects() == before)
  }

  @Test("a database that has a schema of the benchmark's name is refused, and stays as it is")
  func refused() throws {
    #expect(try Program.run("migrate", "--database", database).status == 0)
    let connection = try Database.current.connect()
    try connection.runScript("create schema rowcast_bench")
    let before = try objects()
    let run = try Program.run(["bench", "latency", "--database", database] + Self.tiny)
    #expect(run.status == 1)
    #expect(run.errors.contains("schema rowcast_bench"))
    #expect(try objects() == before)
  }

  /// What the benchmark could have left behind.
  private func objects() throws -> [String] {
    try Database.current.connect().run(
      """
      select array(
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace in (select oid from pg_namespace where nspname !~ '^pg_toast')
        union all select n.nspname from pg_namespace as n where nspname !~ '^pg_'
        union all select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace::regnamespace::text in ('rowcast', 'rowcast_run')
        order by 1)
      """
    ).value(0, 0, as: [String].self)
  }
}

import Foundation
import Postgres
import Scoring
import TestSupport
import Testing

/// The statements of the article WindowsOverAStream, as they stand there.
@Suite(.database, .timeLimit(.minutes(3)))
struct WindowTests {
  /// The article's blocks of SQL, one after the other.
  private static func statements() throws -> String {
    let article = String(
      decoding: try TestModel.read("Sources/Scoring/Scoring.docc/WindowsOverAStream.md"),
      as: UTF8.self)
    return article.components(separatedBy: "```sql\n").dropFirst()
      .map { $0.components(separatedBy: "```")[0] }.joined(separator: "\n")
  }

  /// For each scorer, a query for the keys that must have a prediction, by other means than its own.
  private static let windows = [
    (
      "tumbling", "machine, starts_at",
      """
      select machine, to_timestamp(floor(extract(epoch from at) / 300) * 300) from plant.reading group by 1, 2
      """
    ),
    (
      "hopping", "machine, starts_at",
      """
      select machine, to_timestamp((floor(extract(epoch from at) / 300) - h) * 300)
      from plant.reading, generate_series(0, 1) as h group by 1, 2
      """
    ),
    ("sliding", "reading_id", "select reading_id from plant.reading"),
    (
      "session", "machine, starts_at",
      """
      select r.machine, r.at from plant.reading as r
      where not exists (select from plant.reading as e where e.machine = r.machine
                        and (e.at, e.reading_id) < (r.at, r.reading_id)
                        and e.at >= r.at - interval '30 minutes')
      """
    ),
  ]

  @Test func lateEventsReachTheirWindows() async throws {
    let scene = try Scene()
    try Connection(scene.settings).run(
      "grant create on database \(identifier: Database.current.name) to rowcast_analyst")
    try scene.push("bearing", try TestModel.read("sql/examples/models/bearing_1.txt"))
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "rowcast-windows-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Self.statements().write(
      to: folder.appending(path: "article.sql"), atomically: true, encoding: .utf8)
    let settings = scene.settings
    try await scene.withWorkers(lanes: 3) { connection, _ in
      let outcome = try Psql.run("article.sql", in: folder, settings)
      try #require(outcome.status == 0, "\(outcome.output.suffix(4000))")
      for (scorer, key, wanted) in Self.windows {
        let differing = try connection.run(
          Query(
            text: """
              select (select count(*) from (\(wanted)) as w),
                     (select count(*) from ((\(wanted)) except select \(key) from predictions.\(scorer)) as d),
                     (select count(*) from (select \(key) from predictions.\(scorer) except (\(wanted))) as d)
              """))
        #expect(try differing.value(0, 0, as: Int64.self) > 5)
        #expect(try differing.value(0, 1, as: Int64.self) == 0, "\(scorer) lacks windows")
        #expect(try differing.value(0, 2, as: Int64.self) == 0, "\(scorer) has others")
        // What was scored piece by piece is what scoring everything anew gives.
        let columns = key + ", probability"
        try connection.run(
          Query(text: "create temp table pieces as select \(columns) from predictions.\(scorer)"))
        try connection.run("select rowcast.rescore(\(scorer))")
        try connection.run("call rowcast.wait(\(scorer))")
        let stale = try connection.run(
          Query(
            text: """
              select count(*) from (select * from pieces except select \(columns) from predictions.\(scorer)) as s
              """))
        #expect(try stale.value(0, 0, as: Int64.self) == 0, "\(scorer) was stale")
        try connection.run("drop table pieces")
      }
    }
  }
}

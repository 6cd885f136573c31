import Foundation
import Postgres
import TestSupport
import Testing

/// What servers tell monitoring of the database.
@Suite(.database) struct FigureTests {
  private struct Figures: Decodable {
    struct Scorer: Decodable {
      var name: String
      var active: Int
      var paused: Int
      var changeRows: Int
      var availableRows: Int
      var runningRows: Int
      var availableChunks: Int
      var runningChunks: Int
      var oldest: Double
      var workSeconds: Double
      var maxLag: Double?
      var failures: Int
      var heldRules: Int
      var rowsScored: Int
      var rowsFailed: Int
      var chunks: Int
      var latencyCounts: [Int]
    }

    struct Worker: Decodable {
      var name: String
      var lanes: Int
      var resident: Int?
    }

    var schema: Int
    var scorers: [Scorer]
    var jobs: [String: Int]
    var idleJob: Double
    var liveWorkers: Int
    var silentWorkers: Int
    var dispatchers: Int
    var workers: [Worker]
    var events: [String: Double]
  }

  private static func figures(_ connection: Connection, most: Int32 = 100) throws -> Figures {
    try JSONDecoder().decode(
      Figures.self,
      from: Data(
        try connection.value("select rowcast.server_figures(\(most))::text", as: String.self).utf8))
  }

  /// Scorers `a`, `b` and `c` over tables of one row each, which are scored.
  private static func scene() throws -> Connection {
    let connection = try Database.current.prepared()
    for name in ["a", "b", "c"] {
      try connection.runScript(
        """
        create table \(name) (id int primary key, x real); insert into \(name) values (0, 1);
        select * from rowcast.create_scorer('\(name)', '\(name)', 'double');
        """)
    }
    try TestLane().settle()
    return connection
  }

  @Test func rowsAreToldByStage() throws {
    let connection = try Self.scene()
    try connection.runScript(
      "select rowcast.set_max_lag('a', '1 minute'); select rowcast.pause_scorer('c')")
    try connection.runScript("insert into a select i, i from generate_series(1, 7) as i")
    var first = try #require(try Self.figures(connection).scorers.first)
    #expect(first.name == "a")
    #expect(first.changeRows == 7)
    #expect(first.availableRows == 0)
    #expect(first.oldest > 0 && first.workSeconds >= 1 && first.maxLag == 60)

    try connection.tick()
    first = try #require(try Self.figures(connection).scorers.first)
    #expect(first.changeRows == 0)
    #expect(first.availableRows == 7)
    #expect(first.availableChunks == 1)
    let lane = try TestLane()
    let chunk = try #require(try lane.claim().first)
    first = try #require(try Self.figures(connection).scorers.first)
    #expect(first.availableRows == 0)
    #expect(first.runningRows == 7)
    #expect(first.runningChunks == 1)
    try lane.read(chunk)
    try lane.write(chunk)
    let figures = try Self.figures(connection)
    first = try #require(figures.scorers.first)
    #expect(first.runningRows == 0)
    #expect(first.runningChunks == 0)
    #expect(first.workSeconds == 0)
    #expect(
      figures.scorers.map(\.active) == [1, 1, 0] && figures.scorers.map(\.paused) == [0, 0, 1])
    #expect(figures.liveWorkers == 2 && figures.silentWorkers == 0 && figures.dispatchers == 0)
    #expect(figures.workers.map(\.name) == ["test"] && figures.workers[0].lanes == 2)
    #expect(figures.jobs["done"] == 3)
    #expect(figures.schema > 0)
  }

  @Test func laterScorersAreOne() throws {
    let connection = try Self.scene()
    try connection.runScript(
      """
      select rowcast.record_totals(array[s.scorer_id], array[10 * s.scorer_id], '{1}', '{2}', '{1}', '{1}', '{1}',
                                   '{0.5}', '{"{1,0,1}"}') from rowcast.scorer as s;
      select rowcast.record_totals(array[s.scorer_id], '{1}', '{0}', '{1}', '{1}', '{1}', '{1}', '{0.5}',
                                   '{"{0,1,0}"}') from rowcast.scorer as s;
      insert into b values (1, 1), (2, 1); insert into c values (1, 1);
      """)
    let whole = try Self.figures(connection).scorers
    #expect(whole.map(\.name) == ["a", "b", "c"])
    #expect(whole.map(\.latencyCounts) == [[1, 1, 1], [1, 1, 1], [1, 1, 1]])
    #expect(whole.map(\.chunks) == [3, 3, 3])
    let cut = try Self.figures(connection, most: 1).scorers
    #expect(cut.map(\.name) == ["a", "other"])
    #expect(cut[0].rowsScored == whole[0].rowsScored)
    #expect(cut[1].rowsScored == whole[1].rowsScored + whole[2].rowsScored)
    #expect(cut[1].latencyCounts == [2, 2, 2] && cut[1].rowsFailed == 2 && cut[1].active == 2)
    #expect(cut[1].changeRows == 3)
    // One that is called so is among them.
    try connection.runScript(
      """
      create table o (id int primary key, x real);
      select * from rowcast.create_scorer('other', 'o', 'double');
      """)
    #expect(try Self.figures(connection, most: 1).scorers.map(\.name) == ["a", "other"])
    #expect(try Self.figures(connection, most: 0).scorers.map(\.active) == [4])
  }

  @Test func countersOutliveWhatIsPruned() throws {
    let connection = try Self.scene()
    try connection.runScript(
      """
      select rowcast.record_minutes('{1}', array[now() - interval '9 days'], '{50}', '{1}', '{1}', '{1}', '{0.25}',
                                    '{0.25}');
      select rowcast.record_totals('{1}', '{50}', '{1}', '{1}', '{1}', '{1}', '{1}', '{0.25}', '{"{1,0}"}');
      select rowcast.record_events('{ticks,model_load_seconds}', '{2,0.5}');
      select rowcast.record_events('{ticks}', '{3}');
      select rowcast.prune_observations();
      """)
    let figures = try Self.figures(connection)
    #expect(figures.scorers[0].rowsScored == 50)
    #expect(figures.events == ["ticks": 5, "model_load_seconds": 0.5])
    // Nobody's totals are those of none.
    try connection.runScript(
      "select rowcast.record_totals('{4711}', '{50}', '{1}', '{1}', '{1}', '{1}', '{1}', '{0.25}', '{\"{1,0}\"}')"
    )
    try connection.run("select rowcast.drop_scorer('a')")
    #expect(try connection.numbers("select scorer_id from rowcast.scorer_total") == [])
  }

  @Test func whoIsSilentIsToldApart() throws {
    let connection = try Self.scene()
    try connection.runScript(
      """
      update rowcast.worker set seen_at = seen_at - interval '31 seconds';
      select rowcast.register_worker('new', 'here', 2, 'test', 3);
      select rowcast.record_memory(max(worker_id), 100, 40, 2), rowcast.beat(max(worker_id), true)
      from rowcast.worker;
      """)
    let figures = try Self.figures(connection)
    #expect(figures.liveWorkers == 1)
    #expect(figures.silentWorkers == 1)
    #expect(figures.dispatchers == 1)
    #expect(figures.workers.map(\.name) == ["new"] && figures.workers[0].resident == 100)
    #expect(
      try connection.numbers("select resident_bytes from rowcast.workers where name = 'new'") == [
        100
      ])
  }

  /// A job that rests is told by how long, one that works is not.
  @Test func aJobThatRestsIsTold() throws {
    let connection = try Self.scene()
    #expect(try Self.figures(connection).idleJob == 0)
    try connection.runScript(
      "select rowcast.rescore('a'); update rowcast.job set created_at = created_at - interval '1 hour'"
    )
    #expect(try Self.figures(connection).idleJob > 3500)
    let lane = try TestLane()
    #expect(try connection.value("select rowcast.make_job_chunks(4, 4)", as: Int.self) > 0)
    #expect(try lane.work() > 0)
    #expect(try Self.figures(connection).idleJob < 60)
  }

  @Test func driftIsTheLargestOfItsKind() throws {
    let connection = try Self.scene()
    #expect(try connection.value("select rowcast.drift_figures(10)::text", as: String.self) == "[]")
    try connection.runScript(
      """
      insert into a select i, i from generate_series(1, 600) as i;
      """)
    try TestLane().settle()
    try connection.runScript(
      """
      select * from rowcast.set_baseline('a');
      select rowcast.record_observations('{1,1}', array[p.profile_id, p.profile_id], \
        array[date_trunc('hour', now()), date_trunc('hour', now())], '{1,1}', '{input,output}', \
        '{1,1}', '{600,600}', '{0,0}', '{25.5,51}', '{100,400}', '{1,2}', '{50,100}', \
        array(select '{600' || repeat(',0', cardinality(c.edges)) || '}' from rowcast.profile_column as c \
              where c.profile_id = p.profile_id order by c.kind)) \
      from rowcast.profile as p;
      """)
    struct Drift: Decodable {
      var scorer: String
      var kind: String
      var index: Double
    }
    func drift(_ most: Int32) throws -> [Drift] {
      try JSONDecoder().decode(
        [Drift].self,
        from: Data(
          try connection.value("select rowcast.drift_figures(\(most))::text", as: String.self).utf8)
      )
    }
    let own = try drift(10)
    #expect(own.map(\.scorer) == ["a", "a"] && own.map(\.kind) == ["input", "output"])
    #expect(own.allSatisfy { $0.index > 0.25 })
    #expect(try drift(0).map(\.scorer) == ["other", "other"])
  }
}

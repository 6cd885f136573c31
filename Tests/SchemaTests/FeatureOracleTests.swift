import Postgres
import Schema
import TestSupport
import Testing

/// Features from joins, watched relations and sets of results, with writers, lanes and a dispatcher
/// at once: in the end the predictions are what the queries give.
@Suite(.database) struct FeatureOracleTests {
  private static let schema = """
    create table grp (g int primary key, w real);
    create table item (id int primary key, g int);
    create table part (part_id int primary key, item_id int, x real);
    create table note (item_id int, y real);
    create index on part (item_id);
    insert into grp select g, g from generate_series(0, 9) as g;
    insert into item select i, i % 10 from generate_series(1, 200) as i;
    insert into part select i, i % 230, i % 50 from generate_series(1, 600) as i;
    create view sums as
      select i.id, sum(p.x) + coalesce((select sum(n.y) from note as n where n.item_id = i.id), 0) as x
      from item as i join part as p on p.item_id = i.id group by i.id;
    create view pairs as
      select i.id, p.part_id, p.x * g.w as x
      from item as i join part as p on p.item_id = i.id left join grp as g on g.g = i.g;
    select rowcast.create_scorer('a', 'item', 'double', feature_query => 'sums');
    select rowcast.also_watch('a', 'part', key => '{item_id}');
    select rowcast.also_watch('a', 'note', key => '{item_id}');
    select rowcast.create_scorer('b', 'item', 'double', feature_query => 'pairs',
                                 result_key => '{part_id}');
    select rowcast.also_watch('b', 'part', key => '{item_id}');
    select rowcast.also_watch('b', 'grp',
      mapping => 'select i.id from item as i join changed as c on c.g = i.g');
    """

  private static func statement(_ random: inout Numbers) -> String {
    let item = random.below(230)
    let part = random.below(600)
    let many = random.below(3) == 0 ? 30 : 0
    let x = random.below(12) == 0 ? "null" : "\(random.below(100))"
    switch random.below(14) {
    case 0:
      return "insert into item values (\(item), \(random.below(10))) on conflict (id) do nothing"
    case 1:
      return "update item set g = \(random.below(11)) where id between \(item) and \(item + many)"
    case 2: return "delete from item where id between \(item) and \(item + many)"
    case 3: return "update item set id = id + 1000 where id = \(item)"
    case 4, 5:
      return """
        insert into part values (\(part), \(item), \(x)) on conflict (part_id) \
        do update set item_id = excluded.item_id, x = excluded.x
        """
    case 6: return "update part set x = \(x) where part_id between \(part) and \(part + many)"
    case 7:
      return "update part set item_id = \(item) where part_id between \(part) and \(part + many)"
    case 8: return "delete from part where part_id between \(part) and \(part + many)"
    case 9: return "update part set part_id = part_id + 1000 where part_id = \(part)"
    case 10: return "update grp set w = \(x) where g = \(random.below(10))"
    case 11: return "insert into note values (\(item), \(random.below(9))), (\(item), 1)"
    case 12: return "delete from note where item_id < \(item)"
    default:
      return random.below(10) == 0
        ? "truncate \(["item", "part", "note"][random.below(3)])"
        : "insert into item select g, g % 10 from generate_series(\(item), \(item + 60)) as g "
          + "on conflict do nothing"
    }
  }

  private static func write(_ settings: ConnectionSettings, seed: UInt64) throws {
    let connection = try Connection(settings)
    defer { connection.close() }
    var random = Numbers(state: seed)
    for _ in 0..<40 {
      do throws(PostgresError) {
        try connection.runScript("begin")
        for _ in 0...random.below(3) { try connection.runScript(statement(&random)) }
        try connection.runScript(random.below(7) == 0 ? "rollback" : "commit")
      } catch {
        guard error.isSerializationFailure || error.sqlState == "23505" else { throw error }
        try connection.runScript("rollback")
      }
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func predictionsAreWhatTheQueriesGiveAfterAnyInterleaving(seed: UInt64) throws {
    let database = Database.current
    let settings = database.settings
    let connection = try database.prepared()
    try connection.runScript(Self.schema)

    let done = Flag()
    let others =
      (0..<3).map { number in
        Background {
          try PipelineOracleTests.score(database, seed: seed * 100 + number, until: done)
        }
      } + [
        Background { try PipelineOracleTests.dispatch(database, seed: seed * 1000, until: done) }
      ]
    let writers = (0..<4).map { number in
      Background { try Self.write(settings, seed: seed * 10 + number) }
    }
    let outcome = Result { for writer in writers { try writer.value(timeout: .seconds(120)) } }
    done.set()
    for other in others { try other.value(timeout: .seconds(60)) }
    try outcome.get()
    #expect(
      try eventually {
        try connection.run("select * from rowcast.rescue_chunks()")
        return try connection.value("select running = 0 from rowcast.open_work()")
      })
    try TestLane().settle()

    #expect(try Self.difference(connection, "sums", "a", "id") == "(0,0,0,0)")
    #expect(try Self.difference(connection, "pairs", "b", "id, part_id") == "(0,0,0,0)")
    #expect(
      try connection.value(
        "select count(*) from rowcast.chunk where state = 'failed'", as: Int.self)
        == 0)
    // What tells the ticks of sets apart is of no use once nothing older is open.
    try connection.run("select * from rowcast.tidy()")
    #expect(
      try connection.value(
        "select count(*) from rowcast.set_2 where is_empty and tick < (select max(tick_id) from rowcast.tick)",
        as: Int.self) == 0)
  }

  /// Rows without prediction, with a wrong one or one too many, and wrong failures.
  private static func difference(
    _ connection: Connection, _ view: String, _ scorer: String, _ key: String
  ) throws -> String {
    let first = key.prefix { $0 != "," }
    return try connection.value(
      Query(
        text: """
          select (count(*) filter (where v.x is not null and p.score is null),
                  count(*) filter (where p.score is distinct from (2 * v.x)::real
                                   and v.x is not null and p.score is not null),
                  count(*) filter (where v.x is null and p.\(first) is not null),
                  count(*) filter (where (v.\(first) is not null and v.x is null) <> (f.\(first) is not null)))
                 ::text
          from \(view) as v full join predictions.\(scorer) as p using (\(key))
          full join predictions.\(scorer)_failure as f using (\(key))
          """))
  }
}

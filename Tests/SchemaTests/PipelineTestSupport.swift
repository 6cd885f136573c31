import Postgres
import Schema
import TestSupport

/// SQL that plays the lane: a row's score is twice its column `x`, a NULL in `x` is a failure.
private let laneSQL = """
  create schema test;
  create function test.model(name text, features jsonb, outputs jsonb) returns void
  language plpgsql as $$
  declare
      version int := rowcast.register_model(name, convert_to(name, 'UTF8'), 'champion');
  begin
      perform rowcast.record_inspection(
          (select m.model_id from rowcast.model as m where m.name = $1), version,
          jsonb_build_object('features', features, 'outputs', outputs), null, 'onnx');
  end
  $$;
  select test.model('double', '[{"name": "x", "type": "float32", "missing": "refused"}]',
                    '[{"name": "score", "type": "float32", "role": "score"}]');

  -- What a lane reads, kept by the session until it writes.
  create function test.read(chunk bigint) returns int language plpgsql as $$
  declare
      c rowcast.chunk := (select c from rowcast.chunk as c where c.chunk_id = chunk);
      plan record;
      count int := 0;
  begin
      select * into strict plan from rowcast.load_scorer(c.scorer_id);
      execute format('drop table if exists pg_temp.rows_%s', chunk);
      if c.kind = 'map' then
          begin
              perform rowcast.map_chunk(c.chunk_id, c.attempt);
          exception when sqlstate 'RC201' then
              null;  -- Another lane has it.
          end;
          return 0;
      end if;
      if c.kind = 'truncate' then
          execute format('create temp table rows_%s as %s limit 0', chunk,
                         replace(plan.read_keys_sql, '$1', quote_literal('{}')));
      elsif c.kind = 'keys' then
          execute format('create temp table rows_%s as %s', chunk,
                         replace(plan.read_keys_sql, '$1', quote_literal(c.keys)));
      else
          execute format('create temp table rows_%s as %s', chunk,
                         replace(replace(plan.read_range_sql, '$1', quote_literal(c.lower_key)),
                                 '$2', quote_literal(c.upper_key)));
      end if;
      execute format('select count(*) from rows_%s', chunk) into count;
      return count;
  end
  $$;

  create function test.write(chunk bigint, attempt int) returns void language plpgsql as $$
  declare
      scorer int := (select c.scorer_id from rowcast.chunk as c where c.chunk_id = chunk);
      plan record;
      good text;
      bad text;
  begin
      if (select c.kind from rowcast.chunk as c where c.chunk_id = chunk) = 'map' then
          return;
      end if;
      select * into strict plan from rowcast.load_scorer(scorer);
      select string_agg(format('coalesce(array_agg(r.%I) filter (where r.x is not null), ''{}'')',
                               k.name), ', ' order by k.place),
             string_agg(format('coalesce(array_agg(r.%I) filter (where r.x is null), ''{}'')',
                               k.name), ', ' order by k.place)
      into good, bad from unnest(plan.key_columns) with ordinality as k (name, place);
      execute format(
          'select rowcast.write_%s($1, $2, %s, '
          'coalesce(array_agg((2 * r.x)::real) filter (where r.x is not null), ''{}''), '
          'array[''double''], array[1], %s, '
          'coalesce(array_agg(''missing''::text) filter (where r.x is null), ''{}''), '
          'coalesce(array_agg(''x''::text) filter (where r.x is null), ''{}''), '
          'coalesce(array_agg(''double''::text) filter (where r.x is null), ''{}''), '
          'coalesce(array_agg(1) filter (where r.x is null), ''{}''), count(*)::int) from rows_%s as r',
          scorer, good, bad, chunk) using chunk, attempt;
  end
  $$;

  -- What is wrong with a scorer's tables, as text; empty when they equal the source.
  create function test.difference(source text, scorer text, keys text) returns text
  language plpgsql as $$
  declare
      key text := split_part(keys, ',', 1);
      found record;
  begin
      execute format(
          'select count(*) filter (where t.x is not null and p.score is null) as missing, '
          'count(*) filter (where p.score is distinct from (2 * t.x)::real and t.x is not null '
          '                 and p.score is not null) as stale, '
          'count(*) filter (where t.%3$s is null and p.%3$s is not null) as orphaned, '
          'count(*) filter (where t.%3$s is not null and t.x is null and p.%3$s is not null) as both, '
          'count(*) filter (where (t.%3$s is not null and t.x is null) <> (f.%3$s is not null)) '
          '    as failures_wrong '
          'from %1$s as t full join predictions.%2$s as p using (%4$s) '
          'full join predictions.%2$s_failure as f using (%4$s)', source, scorer, key, keys)
      into found;
      return case when found::text = '(0,0,0,0,0)' then '' else found::text end;
  end
  $$;
  """

extension Database {
  /// A session of the superuser, with the model `double` and the schema `test` in place.
  func prepared() throws -> Connection {
    let connection = try connect()
    try connection.runScript(laneSQL)
    return connection
  }
}

extension Connection {
  /// Commits what was changed since the last tick; the chunks, as `kind:key_count`.
  @discardableResult
  func tick(lanes: [Int32] = [], laneCount: Int32 = 1) throws -> Tick {
    let rows = try run("select * from rowcast.tick(\(lanes), \(laneCount))")
    return Tick(
      tick: try rows.value(0, "tick_id", as: Int?.self),
      changes: try rows.value(0, "change_count"), chunks: try rows.value(0, "chunk_count"),
      handed: try (0..<rows.count).compactMap { row in
        guard let chunk = try rows.value(row, "chunk_id", as: Int?.self) else { return nil }
        return Claimed(chunk: chunk, attempt: try rows.value(row, "attempt"))
      })
  }

  /// The first column, as numbers.
  func numbers(_ query: Query) throws -> [Int] {
    let rows = try run(query)
    return try (0..<rows.count).map { try rows.value($0, 0) }
  }
}

struct Tick {
  var tick: Int?
  var changes: Int
  var chunks: Int
  var handed: [Claimed]
}

struct Claimed: Equatable {
  var chunk: Int
  var attempt: Int32
}

/// A session that claims, reads and writes as a worker's lane does, for one thread at a time.
final class TestLane: @unchecked Sendable {
  let connection: Connection
  let lane: Int32

  init(_ database: Database = .current) throws {
    connection = try database.connect()
    let worker: Int32 = try connection.value(
      "select rowcast.register_worker('test', 'here', 1, 'test', 1)")
    lane = try connection.value("select rowcast.register_lane(\(worker))")
  }

  func claim(_ count: Int32 = 1) throws -> [Claimed] {
    let rows = try connection.run("select * from rowcast.claim_chunks(\(lane), \(count))")
    return try (0..<rows.count).map {
      Claimed(
        chunk: try rows.value($0, "chunk_id"), attempt: try rows.value($0, "attempt"))
    }
  }

  @discardableResult func read(_ claimed: Claimed) throws -> Int {
    try connection.value("select test.read(\(claimed.chunk))")
  }

  func write(_ claimed: Claimed) throws {
    try connection.run("select test.write(\(claimed.chunk), \(claimed.attempt))")
  }

  /// Works until nothing is claimable; counts the chunks.
  @discardableResult func work() throws -> Int {
    var count = 0
    while let claimed = try claim().first {
      try read(claimed)
      try write(claimed)
      count += 1
    }
    return count
  }

  /// Ticks, cuts jobs and works until nothing is left to do.
  func settle() throws {
    while true {
      let tick = try connection.tick(lanes: [], laneCount: 4)
      let made: Int = try connection.value("select rowcast.make_job_chunks(4, 4)")
      let worked = try work()
      let running: Int = try connection.value(
        "select count(*) from rowcast.job where state = 'running'")
      if tick.tick == nil, made == 0, worked == 0, running == 0 { return }
    }
  }

  func die() { connection.close() }
}

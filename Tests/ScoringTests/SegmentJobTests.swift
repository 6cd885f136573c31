import Inference
import Postgres
import Scoring
import TestSupport
import Testing

/// Jobs that write slices of rows as arrays, under a view of the usual shape.
@Suite(.database, .timeLimit(.minutes(3)))
struct SegmentJobTests {
  /// One value of one row.
  private static func text(_ connection: Connection, _ sql: String) throws -> String {
    try connection.run(Query(text: sql)).value(0, 0, as: String.self)
  }

  /// Expects that two destinations hold the same rows, whatever wrote them when.
  private static func expectSame(
    _ one: String, _ other: String, _ columns: String, _ connection: Connection,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let apart = try text(
      connection,
      """
      select count(*)::text from ((select \(columns) from \(one) except all select \(columns) from \(other))
        union all (select \(columns) from \(other) except all select \(columns) from \(one))) as d
      """)
    #expect(apart == "0", "\(one) and \(other)", sourceLocation: sourceLocation)
  }

  @Test func theViewHasWhatTheUsualModeWrites() async throws {
    let scene = try Scene()
    try await scene.withWorkers(2) { connection, _ in
      try scene.prepareItems(connection, rows: 60_000)
      try connection.runScript(
        """
        delete from item where id % 7 = 0;
        update item set note = null where id % 11 = 0;
        """)
      for (destination, mode) in [("usual", "create"), ("packed", "segments")] {
        let job = try scene.submit(
          """
          select rowcast.submit_job('sum', 'item', \(destination), keep => array['note'],
                                    mode => \(mode))
          """, connection)
        let end = try scene.end(of: job, connection)
        #expect(end.state == "done", "\(end.error ?? "")")
        #expect(
          try Self.text(
            connection,
            "select concat_ws(' ', rows_done, rows_failed, rows_total, destination) "
              + "from rowcast.job_progress where job_id = \(job)"
          )
          .hasPrefix("51429 0 51429 public."))
        #expect(
          try Self.text(
            connection, "select count(*)::text from \(destination) where job = \(job)") == "51429")
      }
      try Scene.expectItems(in: "packed", connection)
      try Self.expectSame(
        "usual", "packed", "id, note, score, model_name, model_version", connection)
      let columns = "string_agg(attname || ' ' || atttypid::regtype, ', ' order by attnum)"
      #expect(
        try Self.text(
          connection, "select \(columns) from pg_attribute where attrelid = 'packed'::regclass")
          == Self.text(
            connection,
            "select \(columns) from pg_attribute where attrelid = 'usual'::regclass and attnum > 0")
      )
      #expect(
        try Self.text(
          connection,
          """
          select concat_ws(' ', sum(row_count), max(row_count) <= 4096, count(*) < 200,
            bool_and((min_id, max_id) = (select min(i), max(i) from unnest(id) as i)),
            bool_and(row_count = all (array[cardinality(id), cardinality(note), cardinality(score)])))
          from packed_segments
          """) == "51429 t t t t")
    }
  }

  @Test func aKeyIsFoundWithoutReadingAll() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 40_000)
      let job = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'packed', mode => 'segments')", connection)
      #expect(try scene.end(of: job, connection).state == "done")
      #expect(
        try Self.text(
          connection,
          """
          select concat_ws(' ', count(*), count(l.id), bool_and(l.score = p.score))
          from packed as p left join lateral packed_lookup(p.id) as l on l.score = p.score
          where p.id % 500 = 3
          """) == "80 80 t")
      #expect(try connection.run("select from packed_lookup(40001)").isEmpty)
      // The arrays that are opened are those of the one segment that can have the key.
      let plan = try Self.text(
        connection,
        "select (count(*) filter (where 77 between min_id and max_id))::text from packed_segments")
      #expect(plan == "1")
      try connection.runScript("vacuum analyze packed_segments")
      let explained = try connection.run(
        "explain (analyze, costs off, timing off, summary off) select * from packed_lookup(77)")
      let lines = try (0..<explained.count).map { try explained.value($0, 0, as: String.self) }
      #expect(
        lines.contains { $0.contains("on packed_segments") && $0.contains("rows=1 ") },
        "\(lines.joined(separator: "\n"))")
    }
  }

  @Test func keysOfManyTypes() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      try connection.runScript(
        """
        create domain short as varchar(20);
        create table visit (
          site text collate "POSIX", day date, u uuid, code short, weight numeric, a real,
          b double precision, c integer, at timestamptz(0), primary key (site, day, u, code, weight));
        insert into visit
        select 's' || i % 5 || chr(228 + i % 3), date '2020-01-01' - 20 + i / 100,
               md5(i::text)::uuid, 'c' || i, i / 8.0, sin(i), cos(i), i % 23,
               '2020-01-01 12:00+00'::timestamptz + i * interval '1 minute'
        from generate_series(1, 9000) as i;
        """)
      for mode in ["create", "segments"] {
        let job = try scene.submit(
          """
          select rowcast.submit_job('sum', 'visit', 'visit_' || \(mode), keep => array['at'],
                                    mode => \(mode))
          """, connection)
        let end = try scene.end(of: job, connection)
        #expect(end.state == "done", "\(end.error ?? "")")
      }
      try Self.expectSame(
        "visit_create", "visit_segments", "site, day, u, code, weight, at, score", connection)
      // A numeric has no bounds, and is compared all the same.
      #expect(
        try Self.text(
          connection,
          """
          select string_agg(attname, ' ' order by attnum) from pg_attribute
          where attrelid = 'visit_segments_segments'::regclass and attname ~ '^m(in|ax)_'
          """) == "min_site max_site min_day max_day min_u max_u min_code max_code")
      #expect(
        try Self.text(
          connection,
          """
          select concat_ws(' ', count(*), count(l.score))
          from (select * from visit where weight::int % 100 = 0) as v
          left join lateral visit_segments_lookup(v.site, v.day, v.u, v.code, v.weight) as l on true
          """)
          == Self.text(
            connection,
            "select concat_ws(' ', count(*), count(*)) from visit where weight::int % 100 = 0"))
      #expect(
        try Self.text(
          connection,
          """
          select bool_and(s.min_site = k.low and s.max_site = k.high and s.min_code = k.least
                          and s.max_u = k.last)::text
          from visit_segments_segments as s cross join lateral (
            select min(a collate "C") as low, max(a collate "C") as high, min(b::text collate "C") as least,
                   (array_agg(u order by u desc))[1] as last
            from unnest(s.site, s.code, s.u) as r (a, b, u)) as k
          """) == "true")
      // Without a key there is nothing to look up by.
      let job = try scene.submit(
        "select rowcast.submit_job('sum', 'select a, b, c from visit', 'bare', mode => 'segments')",
        connection)
      #expect(try scene.end(of: job, connection).state == "done")
      #expect(try Self.text(connection, "select count(*)::text from bare") == "9000")
      #expect(
        try Self.text(
          connection, "select (to_regproc('bare_lookup') is null)::text") == "true")
    }
  }

  /// Features that are joined on their way and features that are not, with NULLs from some row on.
  @Test func numbersOfAllKindsArriveAsTheyAre() async throws {
    let scene = try Scene()
    let names = (0..<11).map { "f\($0)" }
    let bytes = TestModel.sum(of: names, seed: 7)
    try await scene.withWorkers { connection, _ in
      try scene.push("wide", bytes)
      let types = [
        "real", "real", "double precision", "real", "real", "int", "real", "real", "real", "real",
        "double precision",
      ]
      let values = names.indices.map { place in
        switch place {
        case 2: "case when i % 97 = 0 then 'nan' else (i % 40) / 7.0 - 3 end"
        case 3: "case when i % 89 = 0 then '-infinity' else (i % 31 - 15) * 1.1 end"
        case 8: "case when i < 30000 or i % 5 > 0 then sin(i) * 12 end"
        case 10: "1e-320 * i"
        default: "sin(i * \(place + 1)) * 12"
        }
      }
      let columns = zip(names, types).map { "\($0) \($1)" }.joined(separator: ", ")
      try connection.runScript(
        """
        create table wide (id bigint primary key, \(columns));
        insert into wide select i, \(values.joined(separator: ", ")) from generate_series(1, 40000) as i;
        """)
      let job = try scene.submit(
        "select rowcast.submit_job('wide', 'wide', 'packed', mode => 'segments')", connection)
      #expect(try scene.end(of: job, connection).state == "done")
      let rows = try connection.run(
        Query(text: "select \(names.joined(separator: ", ")) from wide order by id"))
      let batch = Batch(
        rowCount: rows.count,
        columns: try names.indices.map { try LiveScoringTests.column(rows.column($0)) })
      let model = try Model.load(bytes)
      let wanted = try model.predict(batch, workspace: Workspace())
      let found = try connection.run("select score from packed order by id").column(0)
      guard case .float64(let scores) = wanted.columns[0].values else {
        Issue.record("other outputs than expected")
        return
      }
      #expect(found.values == .float64(scores))
      #expect(Set(scores).count > 100)
    }
  }

  @Test func classesTextsAndProbabilities() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("stay", TestModel.fixture("columns_pipeline/model.onnx"))
      try connection.runScript(
        """
        create table customer (id int primary key, age real, income real, visits int, plan text, city text);
        insert into customer select i, nullif(i % 70, 3), 20000 + i % 900 * 50, i % 9,
          (array['basic', 'plus', 'pro'])[1 + i % 3], (array['Oslo', 'Rome', 'New York'])[1 + i % 3]
        from generate_series(1, 10000) as i;
        """)
      for (table, arguments) in [
        ("usual", "mode => 'create'"), ("packed", "mode => 'segments'"),
        ("usual_top", "top_k => 1"), ("packed_top", "top_k => 1, mode => 'segments'"),
      ] {
        let job = try scene.submit(
          Query(
            text: """
              select rowcast.submit_job('stay', 'customer', '\(table)', error_threshold => -1, \(arguments))
              """), connection)
        let end = try scene.end(of: job, connection)
        #expect(end.state == "done", "\(end.error ?? "")")
      }
      try Self.expectSame(
        "usual", "packed", "id, label, probability_leaves, probability_stays", connection)
      try Self.expectSame("usual_top", "packed_top", "id, top_1, top_1_probability", connection)
      #expect(
        try Self.text(connection, "select count(distinct label)::text from packed") == "2")
    }
  }

  @Test func failuresAreKeptApartRetriedAndAdded() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("anomaly", TestModel.anomaly(device: 1, sensor: 1))
      try connection.runScript(
        """
        create table reading (id int primary key, value real);
        insert into reading select i, nullif(i % 50, 0) from generate_series(1, 20000) as i;
        """)
      let job = try scene.submit(
        "select rowcast.submit_job('anomaly', 'reading', mode => 'segments')", connection)
      #expect(try scene.end(of: job, connection).state == "done")
      func counts() throws -> String {
        try Self.text(
          connection,
          """
          select concat_ws(' ', (select count(*) from predictions.job_\(job)),
            (select count(distinct id) from predictions.job_\(job)), rows_done, rows_failed,
            (select count(*) from rowcast.job_failures where job_id = \(job)))
          from rowcast.job_progress where job_id = \(job)
          """)
      }
      #expect(try counts() == "19600 19600 20000 400 400")
      try connection.run("update reading set value = 1 where id <= 10000 and value is null")
      #expect(
        try connection.run("select rowcast.retry_failures(\(job))").value(0, 0, as: Int64.self)
          == 400)
      #expect(try scene.end(of: job, connection).state == "done")
      #expect(try counts() == "19800 19800 20000 200 200")
      let lookup = "select count(*)::text from predictions.job_\(job)_lookup(50)"
      #expect(try Self.text(connection, lookup) == "1")

      // Another job adds to it; one that writes something else is refused.
      let second = try scene.submit(
        Query(
          text: """
            select rowcast.submit_job('anomaly', 'select id + 20000 as id, value from reading where id <= 30',
              'predictions.job_\(job)', key => array['id'], mode => 'segments')
            """), connection)
      #expect(try scene.end(of: second, connection).state == "done")
      #expect(try counts().hasPrefix("19830 19830"))

      try connection.run("select rowcast.drop_job(\(job))")
      #expect(
        try Self.text(
          connection,
          """
          select concat_ws(' ', count(*), to_regproc('predictions.job_\(job)_lookup'))
          from pg_class where relname like 'job\\_\(job)%'
          """) == "0")
    }
  }

  @Test func cancellingLeavesWholeSegmentsOfWholeChunks() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 300_000)
      let job = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'packed', mode => 'segments')", connection)
      #expect(
        try eventually {
          try connection.run(
            "select exists (select from rowcast.chunk where job_id = \(job) and state = 'done')"
          ).value(0, 0, as: Bool.self)
        })
      try connection.run("select rowcast.cancel_job(\(job))")
      #expect(try scene.end(of: job, connection).state == "cancelled")
      #expect(
        try Self.text(
          connection,
          """
          select (count(*) = p.rows_done and count(distinct id) = count(*))::text from packed as s,
            (select rows_done from rowcast.job_progress where job_id = \(job)) as p group by p.rows_done
          """) == "true")
      // The next one goes into the same place.
      try connection.run("delete from packed_segments")
      let next = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'packed', mode => 'segments')", connection)
      #expect(try scene.end(of: next, connection).state == "done")
      try Scene.expectItems(in: "packed", connection)
    }
  }

  /// The view needs no more than any view; who looks up by key needs the segments too.
  @Test func whoMayReadWhat() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 5_000)
      try connection.runScript(
        """
        create schema work authorization rowcast_analyst;
        grant select on item to rowcast_analyst with grant option;
        create role reads_segments;
        """)
      try connection.run("set role rowcast_analyst")
      let named = try scene.submit(
        "select rowcast.submit_job('sum', 'public.item', 'work.packed', mode => 'segments')",
        connection)
      let unnamed = try scene.submit(
        "select rowcast.submit_job('sum', 'public.item', mode => 'segments')", connection)
      try connection.run("reset role")
      #expect(try scene.end(of: named, connection).state == "done")
      #expect(try scene.end(of: unnamed, connection).state == "done")
      // Both are for their author to read.
      try connection.run("set role rowcast_analyst")
      for name in ["work.packed", "predictions.job_\(unnamed)"] {
        #expect(
          try Self.text(
            connection,
            "select concat_ws(' ', (select count(*) from \(name)), (select count(*) from \(name)_lookup(7)))"
          ) == "5000 1")
      }
      try connection.run("reset role")
      #expect(
        try Self.text(
          connection,
          """
          select string_agg(distinct pg_get_userbyid(relowner), ' ') || ' '
            || has_table_privilege('rowcast_worker', 'work.packed_segments', 'insert')
          from pg_class where oid in ('work.packed'::regclass, 'work.packed_segments'::regclass)
          """) == "rowcast_analyst false")
      try connection.runScript(
        """
        grant usage on schema work, predictions to reads_segments;
        grant select on work.packed to reads_segments;
        set role reads_segments;
        """)
      #expect(try Self.text(connection, "select count(*)::text from work.packed") == "5000")
      for refused in [
        "select from work.packed_lookup(7)", "select from predictions.job_\(unnamed)",
        "select from predictions.job_\(unnamed)_segments",
        "select from predictions.job_\(unnamed)_lookup(7)",
      ] {
        let error = #expect(throws: PostgresError.self) {
          try connection.run(Query(text: refused))
        }
        #expect(error?.sqlState == "42501", "\(refused)")
      }
      try connection.runScript("reset role; drop owned by reads_segments; drop role reads_segments")
    }
  }
}

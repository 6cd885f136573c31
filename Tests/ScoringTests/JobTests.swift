import Postgres
import Scoring
import TestSupport
import Testing

/// Jobs with a source and a destination of their own, from submission to the last row.
@Suite(.database, .timeLimit(.minutes(3)))
struct JobTests {
  @Test func aTableIsScoredIntoANewOne() async throws {
    let scene = try Scene()
    try await scene.withWorkers(2) { connection, _ in
      try scene.prepareItems(connection, rows: 20_000)
      try connection.runScript("delete from item where id % 7 = 0")
      let job = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'scored', keep => array['note'])", connection)
      try connection.run("call rowcast.wait_for_job(\(job))")
      try Scene.expectItems(in: "scored", connection)
      #expect(
        try connection.run(
          """
          select concat_ws(' ', state, rows_done, rows_failed, rows_total, done, phase, model)
          from rowcast.job_progress where job_id = \(job)
          """
        ).value(0, 0, as: String.self) == "done 17143 0 17143 1 over sum")
      #expect(
        try connection.run(
          """
          select count(*) from scored where note = 'n' || id and model_name = 'sum' \
          and model_version = 1 and job = \(job) and scored_at > now() - interval '1 hour'
          """
        ).value(0, 0, as: Int64.self) == 17_143)

      // What the job had beside its table goes when it is over.
      #expect(
        try eventually {
          try connection.run("select rowcast.clear_jobs()")
          return try connection.run(
            "select not exists (select from pg_proc where pronamespace = 'rowcast_run'::regnamespace)"
          ).value(0, 0, as: Bool.self)
        })
    }
  }

  @Test func aQueryIsCollectedAndAppendedUpsertedReplaced() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 5_000)
      let first = try scene.submit(
        """
        select rowcast.submit_job(
          'sum', 'select * from item where id <= 3000;', 'scored', key => array['id'],
          mode => 'upsert')
        """, connection)
      #expect(try scene.end(of: first, connection).state == "done")
      try Scene.expectItems(in: "scored", connection, where: "id <= 3000")

      // The key that two jobs share has one row.
      try connection.run("update item set a = a + 5")
      let second = try scene.submit(
        """
        select rowcast.submit_job('sum', 'select * from item where id > 1000', 'scored',
                                  key => array['id'], mode => 'upsert')
        """, connection)
      #expect(try scene.end(of: second, connection).state == "done")
      #expect(
        try connection.run("select count(*), count(distinct id) from scored")
          .value(0, 0, as: Int64.self) == 5_000)
      let third = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'scored', mode => 'replace')", connection)
      #expect(try scene.end(of: third, connection).state == "done")
      try Scene.expectItems(in: "scored", connection)

      // A view, into a table whose trigger sees who writes.
      try connection.runScript(
        """
        create view few as select id, a, b, c from item where id % 10 = 0;
        create table audited (id bigint, score double precision, who text, job bigint);
        create function note() returns trigger language plpgsql as
          'begin new.who := current_user; return new; end';
        create trigger note before insert on audited for each row execute function note();
        """)
      let fourth = try scene.submit(
        "select rowcast.submit_job('sum', 'few', 'audited', mode => 'append', keep => array['id'])",
        connection)
      #expect(try scene.end(of: fourth, connection).state == "done")
      try Scene.expectItems(in: "audited", connection, where: "id % 10 = 0")
      #expect(
        try connection.run(
          "select count(*) from audited where who = current_user and job = \(fourth)"
        )
        .value(0, 0, as: Int64.self) == 500)
    }
  }

  @Test func rowsThatFailAreKeptApartAndRetried() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("anomaly", TestModel.anomaly(device: 1, sensor: 1))
      try connection.runScript(
        """
        create table reading (id int primary key, value real, kind text);
        insert into reading select i, nullif(i % 50, 0), 'k' from generate_series(1, 1000) as i;
        """)
      let job = try scene.submit(
        "select rowcast.submit_job('anomaly', 'reading', keep => array['kind'])", connection)
      #expect(try scene.end(of: job, connection).state == "done")
      let table = "predictions.job_\(job)"
      func counts() throws -> String {
        try connection.run(
          Query(
            text: """
              select concat_ws(' ', (select count(*) from \(table)), (select count(distinct id) from \(table)),
                rows_done, rows_failed, (select count(*) from rowcast.job_failures where job_id = $1))
              from rowcast.job_progress where job_id = $1
              """, values: [job])
        ).value(0, 0)
      }
      #expect(try counts() == "980 980 1000 20 20")
      #expect(
        try connection.run(
          "select key::text || code from rowcast.job_failures where key ->> 'id' = '50'"
        ).value(0, 0, as: String.self) == "{\"id\": 50, \"kind\": \"k\"}missing")

      // Mended rows have moved, and are found by their key.
      try connection.run("update reading set value = 1 where id <= 500 and value is null")
      #expect(
        try connection.run("select rowcast.retry_failures(\(job))").value(0, 0, as: Int64.self)
          == 20)
      #expect(try scene.end(of: job, connection).state == "done")
      #expect(try counts() == "990 990 1000 10 10")
    }
  }

  @Test func tooManyFailuresStopAJob() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("anomaly", TestModel.anomaly(device: 1, sensor: 1))
      try connection.runScript(
        """
        create table reading (id int, value real);
        insert into reading select i, nullif(i % 5, 0) from generate_series(1, 5000) as i;
        """)
      func run(_ threshold: Int64?) throws -> String {
        let job = try scene.submit(
          Query(
            text: """
              select rowcast.submit_job('anomaly', 'reading', keep => array['id'], error_threshold => $1)
              """, values: [threshold]), connection)
        let end = try scene.end(of: job, connection)
        return end.state + " " + (end.error ?? "")
      }
      #expect(try run(999).contains("failed 1000 of 5000 rows failed, the threshold is 999"))
      #expect(try run(1000) == "done ")
      #expect(try run(-1) == "done ")
      #expect(try run(nil) == "done ")
      try connection.run("update reading set value = null where id % 100 > 0")
      #expect(try run(nil).contains("rows failed, which is most of them"))
      #expect(try run(-1) == "done ")
    }
  }

  @Test func aStepBeforeScoringStopsTheJobWithItsError() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 100)
      let good = try scene.submit(
        """
        select rowcast.submit_job('sum', 'item', 'scored',
          before => 'delete from item where id > 50; update item set a = 0')
        """, connection)
      #expect(try scene.end(of: good, connection).state == "done")
      try Scene.expectItems(in: "scored", connection)
      let bad = try scene.submit(
        "select rowcast.submit_job('sum', 'item', 'other', before => 'select 1 / (id - 7) from item')",
        connection)
      let end = try scene.end(of: bad, connection)
      #expect(end.state == "failed")
      #expect(end.error == "division by zero")
      let waiting = #expect(throws: PostgresError.self) {
        try connection.run("call rowcast.wait_for_job(\(bad))")
      }
      #expect(waiting?.message == "job \(bad) has failed: division by zero")
    }
  }

  @Test func cancellingStopsWithinTwoSeconds() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.prepareItems(connection, rows: 300_000)
      for source in ["item", "select i.* from item as i, pg_sleep(3600)"] {
        let job = try scene.submit(
          "select rowcast.submit_job('sum', \(source), keep => array['id'])", connection)
        #expect(
          try eventually {
            try connection.run(
              "select exists (select from rowcast.chunk where job_id = \(job) and state = 'running')"
            ).value(0, 0, as: Bool.self)
          })
        try connection.run("select rowcast.cancel_job(\(job))")
        #expect(
          try eventually {
            try connection.run(
              """
              select not exists (select from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()
                and datname = current_database() and backend_type = 'client backend'
                and query not like '%rowcast.%')
              """
            ).value(0, 0, as: Bool.self)
          })
        let count = try connection.run(
          Query(text: "select count(*) from predictions.job_\(job)")
        ).value(0, 0, as: Int64.self)
        #expect(count < 300_000)
        #expect(try scene.end(of: job, connection).state == "cancelled")
        #expect(
          try connection.run(
            Query(text: "select count(*) from predictions.job_\(job)")
          ).value(0, 0, as: Int64.self) == count)
      }
    }
  }

  @Test func partitionsAreReadAndConcurrencyIsBounded() async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 4) { connection, _ in
      try scene.prepareItems(connection, rows: 30_000)
      try connection.runScript(
        """
        create table part (like item) partition by range (id);
        create table part_1 partition of part for values from (0) to (10000);
        create table "Part 2" partition of part for values from (10000) to (20000);
        create table part_3 partition of part default;
        insert into part select * from item;
        """)
      let job = try scene.submit(
        """
        select rowcast.submit_job('sum', 'part', 'scored', keep => array['id'], max_concurrency => 1,
                                  priority => 'low')
        """, connection)
      #expect(
        try eventually {
          try connection.run(
            "select count(*) > 1 from rowcast.chunk where job_id = \(job) and state in ('available', 'running')"
          ).value(0, 0, as: Bool.self) == false
            && connection.run(
              "select finished_at is not null from rowcast.job where job_id = \(job)"
            )
            .value(0, 0, as: Bool.self)
        })
      try Scene.expectItems(in: "scored", connection)
    }
  }
}

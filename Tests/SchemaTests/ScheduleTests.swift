import Postgres
import TestSupport
import Testing

/// Timetables and what becomes of their times, by a clock that the tests hold.
@Suite(.database) struct ScheduleTests {
  /// The next `count` times after a moment, as the zone's clocks and UTC show them.
  private func runs(
    _ cron: String, _ zone: String, after: String, count: Int, utc: Bool = false
  ) throws -> [String] {
    let connection = try Database.current.connect()
    return try connection.texts(
      """
      with recursive run (place, at) as (
          select 1, rowcast.next_run(\(cron), \(zone), \(after)::text::timestamptz)
          union all
          select place + 1, rowcast.next_run(\(cron), \(zone), at) from run where place < \(Int32(count))
      )
      select to_char(at at time zone case when \(utc) then 'UTC' else \(zone) end,
                     'YYYY-MM-DD HH24:MI:SS') from run
      """)
  }

  // MARK: Timetables

  @Test func fieldsMeanWhatTheyMeanInCron() throws {
    let after = "2026-01-30 10:07:30+00"
    let cases: [(String, [String])] = [
      ("*/15 * * * *", ["2026-01-30 10:15:00", "2026-01-30 10:30:00"]),
      ("7 10 * * *", ["2026-01-31 10:07:00", "2026-02-01 10:07:00"]),
      ("0 3 * * mon-fri", ["2026-02-02 03:00:00", "2026-02-03 03:00:00"]),
      ("0 0 31 * *", ["2026-01-31 00:00:00", "2026-03-31 00:00:00", "2026-05-31 00:00:00"]),
      ("0 0 29 feb *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
      ("0 0 29 2 0", ["2026-02-01 00:00:00", "2026-02-08 00:00:00"]),
      ("0 12 13 * FRI", ["2026-01-30 12:00:00", "2026-02-06 12:00:00", "2026-02-13 12:00:00"]),
      ("0 0 * * 7", ["2026-02-01 00:00:00", "2026-02-08 00:00:00"]),
      ("5,50/5 10 * JAN-MAR *", ["2026-01-30 10:50:00", "2026-01-30 10:55:00"]),
      ("*/20 7 10 * * *", ["2026-01-30 10:07:40", "2026-01-31 10:07:00"]),
      ("@monthly", ["2026-02-01 00:00:00", "2026-03-01 00:00:00"]),
      ("@hourly", ["2026-01-30 11:00:00", "2026-01-30 12:00:00"]),
    ]
    for (cron, wanted) in cases {
      #expect(try runs(cron, "UTC", after: after, count: wanted.count) == wanted, "\(cron)")
    }
  }

  @Test func clocksThatAreTurnedForwards() throws {
    // Berlin, 2026-03-29: 02:00 to 03:00 do not exist.
    #expect(
      try runs("30 2 * * *", "Europe/Berlin", after: "2026-03-28 12:00+00", count: 3) == [
        "2026-03-29 03:30:00", "2026-03-30 02:30:00", "2026-03-31 02:30:00",
      ])
    #expect(
      try runs("*/30 * * * *", "Europe/Berlin", after: "2026-03-29 00:15+00", count: 4, utc: true)
        == [
          "2026-03-29 00:30:00", "2026-03-29 01:00:00", "2026-03-29 01:30:00",
          "2026-03-29 02:00:00",
        ])
    // Both the skipped time and the one that it moves to: once.
    #expect(
      try runs("30 2,3 * * *", "Europe/Berlin", after: "2026-03-28 12:00+00", count: 2) == [
        "2026-03-29 03:30:00", "2026-03-30 02:30:00",
      ])
    // Clocks that go forwards at midnight, and by half an hour.
    #expect(
      try runs("0 0 * * *", "America/Havana", after: "2026-03-07 12:00+00", count: 2) == [
        "2026-03-08 01:00:00", "2026-03-09 00:00:00",
      ])
    #expect(
      try runs("15 2 * * *", "Australia/Lord_Howe", after: "2026-10-03 00:00+00", count: 2) == [
        "2026-10-04 02:45:00", "2026-10-05 02:15:00",
      ])
  }

  @Test func clocksThatAreTurnedBack() throws {
    // Berlin, 2026-10-25: 02:00 to 03:00 come twice.
    #expect(
      try runs("30 2 * * *", "Europe/Berlin", after: "2026-10-24 12:00+00", count: 2, utc: true)
        == ["2026-10-25 00:30:00", "2026-10-26 01:30:00"])
    #expect(
      try runs("*/30 * * * *", "Europe/Berlin", after: "2026-10-24 23:45+00", count: 6, utc: true)
        == [
          "2026-10-25 00:00:00", "2026-10-25 00:30:00", "2026-10-25 01:00:00",
          "2026-10-25 01:30:00",
          "2026-10-25 02:00:00", "2026-10-25 02:30:00",
        ])
    #expect(
      try runs("45 1 * * *", "Australia/Lord_Howe", after: "2026-04-04 00:00+00", count: 2) == [
        "2026-04-05 01:45:00", "2026-04-06 01:45:00",
      ])
  }

  @Test func whatIsNoTimetableIsRefused() throws {
    let connection = try scene()
    for cron in [
      "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
      "5-1 * * * *",
      "*/0 * * * *", "a * * * *", "* * * foo *", "1--2 * * * *", "99999999999 * * * *", "@reboot",
      "0 0 31 feb *",
    ] {
      #expect(
        connection.refusal(of: "select rowcast.create_schedule('x', \(cron), 's')")?.sqlState
          == "RC401", "\(cron)")
    }
    let month = connection.refusal(of: "select rowcast.create_schedule('x', '0 0 1 foo *', 's')")
    #expect(month?.message == "\"foo\" is not a month of a timetable")
    #expect(
      month?.hint
        == "Numbers from 1 to 12 or names from jan to dec, ranges a-b, lists a,b, steps */n.")
    #expect(
      connection.refusal(
        of: "select rowcast.create_schedule('x', '@daily', 's', time_zone => 'Europe/Bielefeld')")?
        .message == "\"Europe/Bielefeld\" is not a time zone")
    #expect(
      connection.refusal(of: "select rowcast.create_schedule('x', '@daily', 's', overlap => 'x')")?
        .sqlState == "RC401")
    #expect(
      connection.refusal(of: "select rowcast.create_schedule('x', '@daily', 'none')")?.sqlState
        == "RC306")
  }

  // MARK: Runs

  /// A scorer and a moment in the past at which schedules begin.
  private func scene() throws -> Connection {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t select i, i from generate_series(1, 10) as i;
      select rowcast.create_scorer('s', 't', 'double', backfill => false);
      """)
    return connection
  }

  private func schedule(
    _ connection: Connection, overlap: String = "skip", catchUp: String = "one"
  ) throws {
    try connection.run(
      """
      select rowcast.create_schedule('nightly', '0 3 * * *', 's', 'UTC', overlap => \(overlap),
                                     catch_up => \(catchUp))
      """)
    try connection.run("update rowcast.schedule set next_at = '2026-06-01 03:00+00'")
  }

  private func fire(_ connection: Connection, _ moment: String) throws -> Int {
    try connection.value("select rowcast.fire_schedules(\(moment)::text::timestamptz)")
  }

  private func history(_ connection: Connection) throws -> [String] {
    try connection.texts(
      """
      select to_char(due_at at time zone 'UTC', 'DD HH24:MI ') || outcome
             || case when job_id is null then '' else ' with job' end
      from rowcast.schedule_history order by due_at
      """)
  }

  @Test func eachTimeIsRunOnce() throws {
    let connection = try scene()
    try schedule(connection)
    #expect(try fire(connection, "2026-06-01 02:59:59+00") == 0)
    #expect(try fire(connection, "2026-06-01 03:00:00+00") == 1)
    #expect(try fire(connection, "2026-06-01 03:00:01+00") == 0)
    try TestLane().settle()
    #expect(try connection.texts("select test.difference('t', 's', 'id')") == [""])
    #expect(try fire(connection, "2026-06-02 03:00:30+00") == 1)
    #expect(try history(connection) == ["01 03:00 started with job", "02 03:00 started with job"])
    #expect(
      try connection.texts(
        "select to_char(next_at at time zone 'UTC', 'DD HH24') from rowcast.schedules")
        == ["03 03"])
  }

  /// Dispatchers that take over at the firing second, each with a session of its own.
  @Test func manyDispatchersAtOnceRunItOnce() throws {
    let connection = try scene()
    try schedule(connection)
    let settings = Database.current.settings
    for day in 1...9 {
      let moment = "2026-06-0\(day) 03:00:00+00"
      // One of them fires, and dies before its commit.
      let dying = try Connection(settings)
      try dying.run("begin")
      #expect(try fire(dying, moment) == 1)
      let others = (1...4).map { _ in
        Background {
          try Connection(settings).run(
            "select rowcast.fire_schedules(\(moment)::text::timestamptz)"
          )
          .value(0, 0, as: Int32.self)
        }
      }
      for other in others { #expect(try other.value() == 0) }
      dying.close()
      #expect(
        try eventually {
          try connection.value(
            "select count(*) from pg_locks where relation = 'rowcast.schedule'::regclass",
            as: Int.self)
            == 0
        })
      let successors = (1...4).map { _ in
        Background {
          try Connection(settings).run(
            "select rowcast.fire_schedules(\(moment)::text::timestamptz)"
          )
          .value(0, 0, as: Int32.self)
        }
      }
      #expect(try successors.map { try $0.value() }.reduce(0, +) == 1)
      try TestLane().settle()
    }
    #expect(try connection.value("select count(*) from rowcast.job", as: Int.self) == 9)
  }

  @Test(arguments: [
    ("none", ["01 03:00 missed", "02 03:00 missed", "03 03:00 missed"]),
    ("one", ["01 03:00 missed", "02 03:00 missed", "03 03:00 started with job"]),
    (
      "all",
      ["01 03:00 started with job", "02 03:00 queued", "03 03:00 queued"]
    ),
  ])
  func timesThatPassedAreCaughtUp(catchUp: String, wanted: [String]) throws {
    let connection = try scene()
    try schedule(connection, overlap: "queue", catchUp: catchUp)
    _ = try fire(connection, "2026-06-03 17:00:00+00")
    #expect(try history(connection) == wanted)
    if catchUp == "all" {
      // What is queued runs one after another.
      let lane = try TestLane()
      try lane.settle()
      #expect(try fire(connection, "2026-06-03 17:00:01+00") == 1)
      #expect(try fire(connection, "2026-06-03 17:00:02+00") == 0)
      try lane.settle()
      #expect(try fire(connection, "2026-06-03 17:00:03+00") == 1)
      #expect(try history(connection).allSatisfy { $0.hasSuffix("started with job") })
    }
  }

  @Test func anEarlierRunThatGoesOn() throws {
    let connection = try scene()
    try schedule(connection, overlap: "skip")
    #expect(try fire(connection, "2026-06-01 03:00:00+00") == 1)
    #expect(try fire(connection, "2026-06-02 03:00:00+00") == 0)
    #expect(try history(connection) == ["01 03:00 started with job", "02 03:00 skipped"])
    #expect(
      try connection.value("select rowcast.run_now('nightly') is null", as: Bool.self))

    try connection.run("update rowcast.schedule set overlap = 'cancel'")
    #expect(try fire(connection, "2026-06-03 03:00:00+00") == 1)
    #expect(
      try connection.texts("select state from rowcast.job order by job_id")
        == ["cancelled", "running"])
  }

  @Test func pausedAndDroppedOnesDoNotRun() throws {
    let connection = try scene()
    try schedule(connection)
    try connection.run("select rowcast.pause_schedule('nightly')")
    #expect(try fire(connection, "2026-06-09 03:00:00+00") == 0)
    try connection.run("select rowcast.resume_schedule('nightly')")
    #expect(
      try connection.value("select next_at > now() from rowcast.schedules", as: Bool.self))
    #expect(
      connection.refusal(of: "select rowcast.create_schedule('nightly', '@daily', 's')")?.sqlState
        == "RC402")
    try connection.run("select rowcast.drop_schedule('nightly')")
    #expect(connection.refusal(of: "select rowcast.run_now('nightly')")?.sqlState == "RC402")
    try schedule(connection)
    try connection.run("select rowcast.drop_scorer('s')")
    #expect(try connection.texts("select name from rowcast.schedules") == [])
  }

  @Test func aRunThatFailsIsNoted() throws {
    let connection = try scene()
    try schedule(connection)
    try connection.run("update rowcast.schedule set failures_only = true")
    try connection.runScript("set role rowcast_admin; drop table predictions.s_failure; reset role")
    #expect(try fire(connection, "2026-06-01 03:00:00+00") == 0)
    #expect(try history(connection) == ["01 03:00 failed"])
    #expect(
      try connection.value(
        "select reason like '%s_failure%' from rowcast.schedule_history", as: Bool.self))
    #expect(try fire(connection, "2026-06-01 03:00:01+00") == 0)
  }

  @Test func analystsScheduleAndReadersLook() throws {
    let connection = try scene()
    try connection.run("set role rowcast_reader")
    #expect(
      connection.refusal(of: "select rowcast.create_schedule('x', '@daily', 's')")?.sqlState
        == "42501")
    #expect(connection.refusal(of: "select rowcast.fire_schedules()")?.sqlState == "42501")
    try connection.run("set role rowcast_analyst")
    try connection.run("select rowcast.create_schedule('x', '@daily', 's')")
    #expect(
      try connection.value("select rowcast.run_now('x') is not null", as: Bool.self))
    try connection.run("set role rowcast_reader")
    #expect(
      try connection.texts("select name || ' ' || last_outcome from rowcast.schedules")
        == ["x started"])
  }
}

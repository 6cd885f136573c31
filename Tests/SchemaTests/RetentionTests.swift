import Postgres
import Schema
import TestSupport
import Testing

/// What is over is pruned by policy; what is needed is not.
@Suite(.database) struct RetentionTests {
  @Test func recordsGoWhenTheirTimeIsOver() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t values (1, 1), (2, null);
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.create_schedule('nightly', '0 3 * * *', 's', 'UTC');
      """)
    let lane = try TestLane()
    try lane.settle()
    try connection.runScript(
      """
      select rowcast.audit('s'); select rowcast.audit('s');
      select rowcast.run_now('nightly');
      """)
    try lane.settle()
    try connection.run("select rowcast.run_now('nightly')")
    try lane.settle()
    // As if all that were a year old.
    try connection.runScript(
      """
      update rowcast.job set finished_at = finished_at - interval '1 year';
      update rowcast.chunk set finished_at = finished_at - interval '1 year';
      update rowcast.tick set at = at - interval '1 year';
      update rowcast.schedule_run set decided_at = decided_at - interval '1 year';
      update rowcast.audit set finished_at = finished_at - interval '1 year';
      update predictions.s_failure set failed_at = failed_at - interval '1 year';
      insert into t values (3, 3);
      """)
    try lane.settle()
    try connection.run("select * from rowcast.tidy()")
    #expect(
      try connection.texts(
        """
        select format('%s %s', kind, case kind when 'ticks' then least(freed, 1) else freed end)
        from rowcast.retention where freed > 0
        """) == ["audits 1", "jobs 3", "schedule_runs 1", "ticks 1"])
    #expect(try connection.value("select count(*) from rowcast.audits", as: Int.self) == 1)
    #expect(try connection.value("select count(*) from rowcast.job", as: Int.self) == 0)
    #expect(
      try connection.value("select count(*) from rowcast.schedule_history", as: Int.self) == 1)
    #expect(
      try connection.texts("select error from rowcast.retention where error is not null") == [])
    // Once a minute, not each second.
    #expect(try connection.run("select * from rowcast.prune()").count == 0)

    // Failures stay, unless somebody wants otherwise; then an audit has them tried again.
    #expect(try connection.value("select failures from rowcast.scorer_status") == 1)
    try connection.run("select rowcast.set_retention('failures', '30 days')")
    #expect(
      try connection.texts("select format('%s %s', pruned_kind, freed) from rowcast.prune()")
        == ["failures 1"])
    #expect(try AuditTests.audit(connection, repair: true).missing == 1)
    try lane.settle()
    #expect(try connection.value("select failures from rowcast.scorer_status") == 1)
    #expect(
      try connection.texts(
        """
        select format('%s %s', kind, freed) from rowcast.retention_history where kind = 'failures'
        """) == ["failures 1"])
  }

  @Test func aJobIsKeptWhileItHasSomethingInTheSchemaOfRuns() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      select rowcast.submit_job('double', 'select id, x from t');
      update rowcast.job set state = 'failed', finished_at = now() - interval '1 year';
      """)
    let jobs: Query = "select count(*) from rowcast.job"
    try connection.run("select rowcast.prune('jobs')")
    #expect(try connection.value(jobs, as: Int.self) == 1)
    try connection.run("select rowcast.clear_jobs()")
    try connection.run("select rowcast.prune('jobs')")
    #expect(try connection.value(jobs, as: Int.self) == 0)
    #expect(
      try connection.value(
        "select count(*) from pg_class where relnamespace = 'rowcast_run'::regnamespace and relkind = 'r'",
        as: Int.self) == 0)
  }

  @Test func versionsThatAnythingNeedsStay() throws {
    let connection = try Database.current.prepared()
    // Version 1 is in predictions, 2 and 3 in nothing, 4 pinned, 5 the champion, 6 the newest.
    try connection.runScript(
      """
      create table t (id int primary key, x real);
      insert into t values (1, 1);
      select rowcast.create_scorer('s', 't', 'double');
      select rowcast.register_model('double', convert_to('v' || g, 'UTF8')) from generate_series(2, 6) as g;
      select rowcast.record_inspection(v.model_id, v.version, first.signature, null, 'onnx')
      from rowcast.model_version as v
      cross join (select signature from rowcast.model_version where version = 1) as first
      where v.version > 1;
      select rowcast.create_scorer('pinned', 't', 'double', version => 4, backfill => false);
      """)
    try TestLane().settle()
    try connection.run("select rowcast.set_alias('double', 'champion', 5)")
    try connection.runScript(
      """
      alter table rowcast.model_version disable trigger model_version_immutable;
      update rowcast.model_version set created_at = created_at - interval '1 year';
      alter table rowcast.model_version enable trigger model_version_immutable;
      select rowcast.set_retention('model_versions', '90 days');
      """)
    #expect(
      try connection.texts(
        "select format('%s %s', pruned_kind, freed) from rowcast.prune('model_versions')")
        == ["model_versions 2"])
    #expect(
      try connection.numbers("select version::int8 from rowcast.model_versions order by 1") == [
        1, 4, 5, 6,
      ])
    // The predictions move on, but the alias pointed there not long ago.
    try connection.run("update predictions.s set model_version = 5")
    #expect(try connection.run("select * from rowcast.prune('model_versions')").count == 0)
    try connection.runScript(
      """
      alter table rowcast.alias_change disable trigger user;
      update rowcast.alias_change set changed_at = changed_at - interval '1 year';
      """)
    #expect(try connection.run("select * from rowcast.prune('model_versions')").count == 1)
    #expect(
      try connection.numbers("select version::int8 from rowcast.model_versions order by 1") == [
        4, 5, 6,
      ])
  }

  @Test func policiesAreChecked() throws {
    let connection = try Database.current.prepared()
    for (query, state): (Query, String) in [
      ("select rowcast.set_retention('letters', '1 day')", "RC303"),
      ("select rowcast.set_retention('jobs', '1 second')", "RC303"),
      ("select rowcast.prune('letters')", "RC303"),
    ] {
      #expect(connection.refusal(of: query)?.sqlState == state)
    }
    try connection.run("select rowcast.set_retention('jobs', null)")
    try connection.runScript("set role rowcast_analyst")
    #expect(
      connection.refusal(of: "select rowcast.set_retention('jobs', '1 day')")?.sqlState == "42501")
    #expect(
      try connection.texts("select kind from rowcast.retention where keep is null")
        == ["failures", "jobs", "model_versions"])
  }

  @Test func aKindThatFailsStopsNoOther() throws {
    let connection = try Database.current.prepared()
    try connection.runScript(
      """
      insert into rowcast.retention_policy (kind, keep) values ('absent', '1 day');
      select * from rowcast.prune();
      """)
    #expect(
      try connection.texts(
        "select kind from rowcast.retention where error like '%prune_absent%does not exist'")
        == ["absent"])
    #expect(
      try connection.value(
        "select count(*) from rowcast.retention where last_run_at is not null and error is null",
        as: Int.self) == 5)
  }
}

import Foundation
import Postgres
import Scoring

/// What the server, its settings and the caller's rights mean for Rowcast.
struct ServerChecks {
  private let connection: Connection

  init(_ connection: Connection) { self.connection = connection }

  func all() throws(PostgresError) -> [Check] {
    var checks = [version()]
    checks.append(try session())
    checks.append(try writable())
    checks.append(try clock())
    checks += try rights()
    checks.append(try oldestSnapshot())
    checks.append(try connections())
    return checks + (try settings())
  }

  private func version() -> Check {
    let name = connection.parameterStatus("server_version") ?? "\(connection.serverVersion)"
    return Check(
      "server version", connection.serverVersion >= 140_000 ? .good : .bad, "PostgreSQL \(name)",
      advice: "Rowcast needs PostgreSQL 14 or newer.")
  }

  /// A pooler that gives each transaction another session breaks LISTEN and advisory locks; it
  /// shows, because the process that the handshake named is not the one that answers.
  private func session() throws(PostgresError) -> Check {
    let answering = try connection.run("select pg_backend_pid()").value(0, 0, as: Int32.self)
    return Check(
      "session", answering == connection.backendPID ? .good : .bad,
      answering == connection.backendPID ? "direct" : "through a pooler",
      advice: "Give workers a direct connection, or a pooler in session mode.")
  }

  private func writable() throws(PostgresError) -> Check {
    let rows = try connection.run(
      "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool")
    let isStandby = try rows.value(0, 0, as: Bool.self)
    let isReadOnly = try rows.value(0, 1, as: Bool.self)
    return Check(
      "writable", isStandby || isReadOnly ? .bad : .good,
      isStandby ? "a standby" : isReadOnly ? "read-only by default" : "yes",
      advice: isStandby
        ? "Connect to the primary (target_session_attrs=read-write)."
        : "Set default_transaction_read_only = off for this role and database.")
  }

  /// The server's clock against this machine's, to half a round trip; the least of five tries.
  private func clock() throws(PostgresError) -> Check {
    var best = (trip: Double.infinity, difference: 0.0)
    for _ in 0..<5 {
      let before = Date()
      let server = try connection.run("select clock_timestamp()").value(0, 0, as: Date.self)
      let after = Date()
      let trip = after.timeIntervalSince(before)
      if trip < best.trip {
        let middle = before.addingTimeInterval(trip / 2)
        best = (trip, server.timeIntervalSince(middle))
      }
    }
    return Check(
      "clock", abs(best.difference) > 1 + best.trip ? .advice : .good,
      "\(Format.decimal(best.difference * 1000, places: 1)) ms apart, "
        + "round trip \(Format.decimal(best.trip * 1000, places: 2)) ms",
      advice: "Latencies shown by workers compare both clocks; let NTP set them.")
  }

  private func rights() throws(PostgresError) -> [Check] {
    let rows = try connection.run(
      """
      select current_user::text, rolsuper, rolcreaterole,
             has_database_privilege(current_database(), 'create'),
             to_regnamespace('rowcast') is not null,
             (select count(*) from pg_roles where rolname in
               ('rowcast_admin', 'rowcast_analyst', 'rowcast_worker', 'rowcast_reader')),
             array(select r.rolname::text from pg_roles as r where r.rolname like 'rowcast\\_%'
                   and pg_has_role(current_user, r.oid, 'member') order by 1)
      from pg_roles where rolname = current_user
      """)
    let user = try rows.value(0, 0, as: String.self)
    let isSuperuser = try rows.value(0, 1, as: Bool.self)
    let createsRoles = try rows.value(0, 2, as: Bool.self)
    let createsSchemas = try rows.value(0, 3, as: Bool.self)
    let isMigrated = try rows.value(0, 4, as: Bool.self)
    let roleCount = try rows.value(0, 5, as: Int64.self)
    let memberships = try rows.value(0, 6, as: [String].self)
    if !isMigrated {
      let able = isSuperuser || createsSchemas && (createsRoles || roleCount == 4)
      return [
        Check("schema", .advice, "not there", advice: "Run \"rowcast migrate\"."),
        Check(
          "rights", able ? .good : .bad,
          "\"\(user)\" \(able ? "can migrate" : "cannot create the schema and its roles")",
          advice: "Migrate as the database's owner with CREATEROLE, or as a superuser."),
      ]
    }
    let roles = memberships.joined(separator: ", ")
    return [
      Check("schema", .good, "there"),
      try workers(), try scorers(),
      Check(
        "rights", memberships.isEmpty && !isSuperuser ? .bad : .good,
        isSuperuser
          ? "\"\(user)\" is a superuser" : "\"\(user)\" has \(roles.isEmpty ? "no role" : roles)",
        advice: "Grant \"\(user)\" one of rowcast_worker, rowcast_analyst or rowcast_reader."),
    ]
  }

  private func workers() throws(PostgresError) -> Check {
    guard try mayRead("rowcast.workers") else {
      return Check("workers", .good, "not for this role to see")
    }
    let count = try connection.run(
      "select count(*) from rowcast.workers where last_seen < interval '10 seconds'"
    ).value(0, 0, as: Int64.self)
    return Check(
      "workers", count > 0 ? .good : .advice, count > 0 ? "\(count)" : "none",
      advice: "Nothing is scored until one runs: \"rowcast worker\" or \"rowcast up\".")
  }

  /// Scorers that do not do what they were made for.
  private func scorers() throws(PostgresError) -> Check {
    guard try mayRead("rowcast.scorer_status") else {
      return Check("scorers", .good, "not for this role to see")
    }
    let rows = try connection.run(
      """
      select count(*), count(state_reason),
             coalesce(min(name || ': ' || state_reason) filter (where state_reason is not null), '')
      from rowcast.scorer_status
      """)
    let count = try rows.value(0, 0, as: Int64.self)
    let troubled = try rows.value(0, 1, as: Int64.self)
    return Check(
      "scorers", troubled == 0 ? .good : .advice,
      troubled == 0
        ? "\(count)"
        : "\(troubled) of \(count) with a reason: "
          + (try rows.value(0, 2, as: String.self)),
      advice: "\"rowcast scorers\" lists the reasons.")
  }

  private func mayRead(_ view: String) throws(PostgresError) -> Bool {
    try connection.run("select has_table_privilege(\(view), 'select')").value(0, 0, as: Bool.self)
  }

  /// An old snapshot keeps the change log from being emptied, and everybody's dead rows.
  private func oldestSnapshot() throws(PostgresError) -> Check {
    let rows = try connection.run(
      """
      select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8
      from pg_stat_activity
      where backend_xmin is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
      """)
    let seconds = try rows.value(0, 0, as: Double.self)
    let prepared = try connection.run("select count(*) from pg_prepared_xacts")
      .value(0, 0, as: Int64.self)
    let note = prepared > 0 ? ", \(prepared) prepared transactions" : ""
    return Check(
      "oldest snapshot", seconds > 3600 || prepared > 0 ? .advice : .good,
      (seconds > 0 ? Format.length(seconds: seconds) : "none") + note,
      advice: "End long transactions (pg_stat_activity, pg_prepared_xacts); the change log grows "
        + "while they last.")
  }

  private func connections() throws(PostgresError) -> Check {
    let rows = try connection.run(
      """
      select current_setting('max_connections')::int4
               - current_setting('superuser_reserved_connections')::int4
               - (select count(*) from pg_stat_activity where backend_type = 'client backend')::int4
      """)
    let free = try rows.value(0, 0, as: Int32.self)
    // With a lane for live changes, and all that the one that dispatches may have open.
    let wanted = Allowance.wanted(
      lanes: Machine.coreCount + 1, dispatches: true, isDispatching: true)
    return Check(
      "connections",
      Int(free) < Allowance.leastUseful ? .bad : Int(free) < wanted ? .advice : .good,
      "\(free) free, a worker here takes up to \(wanted)",
      advice: "Raise max_connections, run the worker with fewer --lanes, or tell all workers what "
        + "they may have: select rowcast.set_limit('connections', …).")
  }
}

// MARK: - Settings

extension ServerChecks {
  /// A setting, and what is wrong with a value of it.
  private struct Rule: Sendable {
    var name: String
    var state: Check.State
    var advice: String
    var isWrong: @Sendable (_ value: Double, _ text: String) -> Bool
  }

  private static let rules: [Rule] = [
    Rule(
      name: "fsync", state: .bad,
      advice: "A crash of the machine may destroy the database; set fsync = on."
    ) { $1 == "off" },
    Rule(
      name: "full_page_writes", state: .bad,
      advice: "A crash of the machine may tear pages; set full_page_writes = on."
    ) { $1 == "off" },
    Rule(
      name: "synchronous_commit", state: .advice,
      advice: "The last commits may be lost in a crash; set synchronous_commit = on where a row "
        + "matters."
    ) { $1 == "off" },
    Rule(
      name: "autovacuum", state: .bad,
      advice: "Predictions are updated in place and bloat without it; set autovacuum = on."
    ) { $1 == "off" },
    Rule(
      name: "max_locks_per_transaction", state: .advice,
      advice: "Set it to 64 or more; partitioned sources take a lock a partition."
    ) { value, _ in value < 64 },
    Rule(
      name: "idle_session_timeout", state: .bad,
      advice: "A dispatcher that sleeps would be cut off; set 0 for the worker's role."
    ) { value, _ in value > 0 },
    Rule(
      name: "statement_timeout", state: .advice,
      advice: "Backfills and migrations may run longer; set 0 for the worker's role."
    ) { value, _ in value > 0 && value < 60_000 },
    Rule(
      name: "idle_in_transaction_session_timeout", state: .advice,
      advice: "A writer that forgets to commit holds the change log back; set a minute or so."
    ) { value, _ in value > 0 && value < 1_000 },
    Rule(
      name: "lock_timeout", state: .advice,
      advice: "Short lock timeouts fail migrations on a busy database; set 0 for the owner's role."
    ) { value, _ in value > 0 && value < 1_000 },
    Rule(
      name: "max_wal_size", state: .advice,
      advice: "Backfills would force checkpoints; set max_wal_size = 4GB (checkpoints each 5 min)."
    ) { value, _ in value < 1024 },
    Rule(
      name: "shared_buffers", state: .advice,
      advice: "Set shared_buffers to a quarter of the memory."
    ) { value, _ in value < 16_384 },
    Rule(
      name: "log_statement", state: .advice,
      advice: "Each claim and write would be logged; set log_statement = none or ddl."
    ) { $1 == "all" || $1 == "mod" },
    Rule(
      name: "track_counts", state: .bad,
      advice: "Autovacuum does nothing without it; set track_counts = on."
    ) { $1 == "off" },
  ]

  private func settings() throws(PostgresError) -> [Check] {
    let names = Self.rules.map(\.name)
    let rows = try connection.run(
      """
      select name, setting, current_setting(name) from pg_settings where name = any(\(names))
      """)
    var found: [String: (setting: String, shown: String)] = [:]
    for row in 0..<rows.count {
      found[try rows.value(row, 0, as: String.self)] = (
        try rows.value(row, 1, as: String.self), try rows.value(row, 2, as: String.self)
      )
    }
    return Self.rules.compactMap { rule in
      guard let value = found[rule.name] else { return nil }
      let isWrong = rule.isWrong(Double(value.setting) ?? 0, value.setting)
      return Check(rule.name, isWrong ? rule.state : .good, value.shown, advice: rule.advice)
    }
  }
}

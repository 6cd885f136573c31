internal import Scoring

extension MetricsEndpoint {
  /// What the database knew a moment ago: the same on every server of a database.
  func addDatabase(to metrics: inout MetricsText) {
    let answer = reader.latest()
    metrics.single(
      "rowcast_database_figures_age_seconds", .gauge,
      "How old the figures of the database are; those that are too old are left out.",
      answer.age / .seconds(1))
    metrics.single(
      "rowcast_database_figures_failures_total", .counter,
      "Times that the database did not give its figures.", Double(answer.failures))
    metrics.single(
      "rowcast_database_figures_read_seconds", .gauge, "How long reading them took.",
      answer.reading.map { $0.duration / .seconds(1) })
    let figures = answer.reading?.figures
    metrics.single(
      "rowcast_schema_version", .gauge, "The schema that the database is at.", figures?.schema)
    metrics.family(
      "rowcast_database_info", .gauge, "1, with PostgreSQL's version as label.",
      figures.map { figures -> [MetricsText.Sample] in [([("version", figures.database)], 1)] }
        ?? [])
    addBacklog(of: figures?.scorers ?? [], to: &metrics)
    addWork(of: figures?.scorers ?? [], to: &metrics)
    metrics.family(
      "rowcast_drift_index", .gauge,
      "The largest stability index of the scorer's inputs, or outputs, of this hour and the last.",
      (answer.reading?.drift ?? []).map { drift -> MetricsText.Sample in
        ([("scorer", drift.scorer), ("kind", drift.kind)], drift.index)
      })
    addJobs(of: figures, to: &metrics)
    addWorkers(of: figures, to: &metrics)
    addEvents(of: figures, to: &metrics)
  }

  private typealias Scorer = DatabaseFigures.Scorer

  /// A figure of each scorer, or several that a label tells apart.
  private func add(
    _ name: String, _ kind: MetricsText.Kind, _ help: String, of scorers: [Scorer],
    by label: String, _ parts: [(String, KeyPath<Scorer, Double>)], to metrics: inout MetricsText
  ) {
    metrics.family(
      name, kind, help,
      scorers.flatMap { scorer -> [MetricsText.Sample] in
        parts.map { part, path in
          ([("scorer", scorer.name), (label, part)], scorer[keyPath: path])
        }
      })
  }

  private func add(
    _ name: String, _ kind: MetricsText.Kind, _ help: String, of scorers: [Scorer],
    _ value: (Scorer) -> Double?, to metrics: inout MetricsText
  ) {
    metrics.family(
      name, kind, help,
      scorers.compactMap { scorer -> MetricsText.Sample? in
        value(scorer).map { ([("scorer", scorer.name)], $0) }
      })
  }

  private func addBacklog(of scorers: [Scorer], to metrics: inout MetricsText) {
    add(
      "rowcast_scorers", .gauge, "Scorers, by their state.", of: scorers, by: "state",
      [("active", \.active), ("paused", \.paused), ("suspended", \.suspended)], to: &metrics)
    add(
      "rowcast_backlog_rows", .gauge,
      "Rows that wait, exact: changes that no tick has collected, and rows of chunks.",
      of: scorers, by: "stage",
      [("change", \.changeRows), ("available", \.availableRows), ("running", \.runningRows)],
      to: &metrics)
    add(
      "rowcast_chunks", .gauge, "Chunks that are not done, by their state.", of: scorers,
      by: "state", [("available", \.availableChunks), ("running", \.runningChunks)], to: &metrics)
    add(
      "rowcast_backlog_seconds", .gauge, "How long what waits would take at the present rate.",
      of: scorers, { $0.workSeconds }, to: &metrics)
    add(
      "rowcast_oldest_change_seconds", .gauge, "Age of the oldest change that is not scored.",
      of: scorers, { $0.oldest }, to: &metrics)
    add(
      "rowcast_max_lag_seconds", .gauge,
      "How old a change may be that is not scored, where rowcast.set_max_lag says it.",
      of: scorers, { $0.maxLag }, to: &metrics)
    add(
      "rowcast_lag_breaches_total", .counter, "How often that was not kept, since it was set.",
      of: scorers, { $0.maxLag == nil ? nil : $0.breaches }, to: &metrics)
    add(
      "rowcast_failures", .gauge,
      "Rows that could not be scored; no more than \(DatabaseFigures.mostFailures) of a scorer are "
        + "counted.", of: scorers, { $0.failures }, to: &metrics)
    add(
      "rowcast_held_expectations", .gauge, "Expectations that hold their scorer back.",
      of: scorers, { $0.heldRules }, to: &metrics)
  }

  private func addWork(of scorers: [Scorer], to metrics: inout MetricsText) {
    add(
      "rowcast_scored_rows_total", .counter, "Rows scored by workers.", of: scorers,
      { $0.rowsScored }, to: &metrics)
    add(
      "rowcast_failed_rows_total", .counter, "Rows that became failures.", of: scorers,
      { $0.rowsFailed }, to: &metrics)
    add(
      "rowcast_scored_chunks_total", .counter, "Chunks in which rows were scored.", of: scorers,
      { $0.chunks }, to: &metrics)
    add(
      "rowcast_stage_seconds_total", .counter,
      "Time that lanes took to read, to predict and to write, by the clock.", of: scorers,
      by: "stage",
      [("read", \.readSeconds), ("predict", \.predictSeconds), ("write", \.writeSeconds)],
      to: &metrics)
    metrics.histogram(
      "rowcast_latency_seconds",
      "From the oldest change of a chunk to the commit of its predictions.",
      bounds: ScorerTotal.latencyBounds,
      scorers.compactMap { scorer in
        guard scorer.latencyCounts.count == ScorerTotal.latencyBounds.count + 1 else { return nil }
        return .init(
          labels: [("scorer", scorer.name)], counts: scorer.latencyCounts,
          sum: scorer.latencySeconds)
      })
  }

  private func addJobs(of figures: DatabaseFigures?, to metrics: inout MetricsText) {
    let states = ["running", "paused", "done", "failed", "cancelled"]
    metrics.family(
      "rowcast_jobs", .gauge, "Jobs that are kept, by their state.",
      figures.map { figures -> [MetricsText.Sample] in
        states.map { ([("state", $0)], figures.jobs[$0] ?? 0) }
      } ?? [])
    metrics.single(
      "rowcast_job_backlog_seconds", .gauge,
      "How long the longest job that belongs to no scorer would take at its present rate.",
      figures.map { $0.jobSeconds ?? 0 })
    metrics.single(
      "rowcast_job_idle_seconds", .gauge,
      "How long no chunk of a running job was finished, of the job that rests longest.",
      figures?.idleJob)
    for (name, key, help) in [
      ("scored_rows", "job_rows_scored", "Rows scored by jobs that belong to no scorer."),
      ("failed_rows", "job_rows_failed", "Rows that such jobs could not score."),
      ("chunks", "job_chunks", "Chunks of such jobs that are done."),
    ] {
      metrics.single(
        "rowcast_job_\(name)_total", .counter, help, figures.map { $0.events[key] ?? 0 })
    }
  }

  private func addWorkers(of figures: DatabaseFigures?, to metrics: inout MetricsText) {
    metrics.family(
      "rowcast_workers", .gauge,
      "Workers: live ones, and silent ones, which ended without taking leave within the last hour.",
      figures.map { figures -> [MetricsText.Sample] in
        [
          ([("state", "live")], figures.liveWorkers),
          ([("state", "silent")], figures.silentWorkers),
        ]
      } ?? [])
    metrics.single(
      "rowcast_dispatchers", .gauge, "Workers that dispatch: one, but for moments.",
      figures?.dispatchers)
    metrics.single(
      "rowcast_pressed_workers", .gauge, "Workers that hold back with jobs, to spare the server.",
      figures?.pressedWorkers)
    metrics.single(
      "rowcast_worker_connections", .gauge, "Sessions of all workers.", figures?.connections)
    metrics.single(
      "rowcast_worker_connection_budget", .gauge, "Sessions that all workers may have.",
      figures?.connectionBudget)
    let workers = figures?.workers ?? []
    for (name, help, value) in [
      ("lanes", "Lanes of each worker.", { Double?($0.lanes) }),
      ("resident_memory_bytes", "Memory of its process.", { $0.resident }),
      ("model_memory_bytes", "What its models take of it.", { $0.models }),
      ("models_loaded", "Models that it has loaded.", { $0.modelCount }),
    ] as [(String, String, (DatabaseFigures.Worker) -> Double?)] {
      metrics.family(
        "rowcast_worker_\(name)", .gauge, help,
        workers.compactMap { worker -> MetricsText.Sample? in
          value(worker).map { ([("worker", worker.name)], $0) }
        })
    }
    metrics.single(
      "rowcast_notification_queue_ratio", .gauge,
      "How full PostgreSQL's queue of notifications is.", figures?.notificationQueue)
  }

  private func addEvents(of figures: DatabaseFigures?, to metrics: inout MetricsText) {
    metrics.family(
      "rowcast_chunk_events_total", .counter,
      "What happened to chunks beside being done: given up, tried again, freed of a dead lane, taken by "
        + "another lane; copied are those of the done that COPY wrote.",
      figures.map { figures -> [MetricsText.Sample] in
        ["copied", "failed", "lost", "rescued", "retried"].map {
          ([("event", $0)], figures.events["chunks_\($0)"] ?? 0)
        }
      } ?? [])
    for (name, key, help) in [
      ("ticks", "ticks", "Ticks that collected changes."),
      ("elections", "elections", "Elections of a dispatcher."),
      ("doorbell_rings", "doorbell_rings", "Notifications by which writers woke the dispatcher."),
      ("doorbell_sleeps", "doorbell_sleeps", "Times that the dispatcher went to sleep."),
      (
        "unrung_changes", "unrung_changes",
        "Times that changes were found which nobody had rung for: each is a defect."
      ),
      ("scorer_suspensions", "scorers_suspended", "Scorers suspended by workers."),
      ("worker_connections_lost", "connections_lost", "Sessions that workers lost."),
      ("worker_maintenance_failures", "maintenance_failures", "Upkeep of workers that failed."),
      ("worker_model_loads", "model_loads", "Models loaded by workers."),
      ("worker_model_load_seconds", "model_load_seconds", "Time that loading them took."),
      ("worker_model_load_failures", "model_load_failures", "Models that workers could not load."),
      ("worker_model_unloads", "model_unloads", "Models that workers let go of."),
    ] {
      metrics.single(
        "rowcast_\(name)_total", .counter, help, figures.map { $0.events[key] ?? 0 })
    }
  }
}

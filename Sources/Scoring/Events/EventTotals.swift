/// How often a worker met each kind of event since it started, or for how many seconds, by the names under which
/// the database adds up those of all workers.
struct EventTotals {
  private var values: [String: Double] = [:]

  init() {}

  init(_ counts: WorkerStatistics.Snapshot, _ models: ModelCache.Figures) {
    let whole: [String: Int64] = [
      "chunks_copied": counts.chunksCopied, "chunks_failed": counts.chunksFailed,
      "chunks_lost": counts.chunksLost, "chunks_rescued": counts.chunksRescued,
      "chunks_retried": counts.chunksRetried, "connections_lost": counts.connectionsLost,
      "doorbell_rings": counts.rings, "doorbell_sleeps": counts.sleeps,
      "elections": counts.elections, "maintenance_failures": counts.maintenanceFailures,
      "model_loads": Int64(models.loads), "model_load_failures": Int64(models.failures),
      "model_unloads": Int64(models.unloads), "scorers_suspended": counts.scorersSuspended,
      "ticks": counts.ticks, "unrung_changes": counts.safetyPollHits,
    ]
    values = whole.mapValues(Double.init)
    values["model_load_seconds"] = models.loadSeconds
  }

  /// What came since; nothing of what did not change.
  func since(_ last: EventTotals) -> [String: Double] {
    values.merging(last.values) { $0 - $1 }.filter { $0.value > 0 }
  }
}

/// Queries that the demo suggests, and shows with their answers.
enum DemoQuery {
  static let all = [
    """
    select r.device, r.sensor, count(*) as anomalies,
           round(min(r.value)::numeric, 2) as lowest, round(max(r.value)::numeric, 2) as highest
    from sensor_reading as r join predictions.sensor_anomaly as p using (reading_id)
    where p.label = -1 group by 1, 2 order by 3 desc, 1, 2 limit 5
    """,
    """
    select p.reading_id, p.label, round(p.decision::numeric, 3) as decision, p.model_name,
           p.model_version, p.scored_at - r.at as took
    from predictions.sensor_anomaly as p join sensor_reading as r using (reading_id)
    order by p.reading_id desc limit 3
    """,
    "select name, source, state, backlog_rows, failures from rowcast.scorer_status",
  ]
}

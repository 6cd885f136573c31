internal import Glibc
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Scoring

/// The server's own figures and those of its database, as Prometheus reads them.
///
/// Nothing here waits: what the database knows was read before by `FigureReader`. Labels are bounded: routes and
/// methods are those that the server has, scorers and workers those that have entries of their own.
struct MetricsEndpoint: Sendable {
  let server: ServerParts
  let reader: FigureReader
  /// nil where connections are not TLS.
  let certificates: Certificates?
  let connectionLimit: Int
  let startedAt = time(nil)

  init(
    server: ServerParts, reader: FigureReader, certificates: Certificates?, connectionLimit: Int
  ) {
    self.server = server
    self.reader = reader
    self.certificates = certificates
    self.connectionLimit = connectionLimit
  }

  var routes: [Route] {
    [
      .get(
        "/metrics", .key(.metrics),
        Operation(
          "metrics", .server, "The server's figures, as Prometheus reads them.",
          answers: [.body(200, "text/plain", "Figures, a line each.")])
      ) { _, _, _ in
        Response(
          status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
          body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
      }
    ]
  }

  private var text: String {
    var metrics = MetricsText()
    addRequests(to: &metrics)
    addAccess(to: &metrics)
    addScoring(to: &metrics)
    addModels(to: &metrics)
    addReadiness(to: &metrics)
    addProcess(to: &metrics)
    addDatabase(to: &metrics)
    return metrics.text
  }

  private func addRequests(to metrics: inout MetricsText) {
    let all = server.figures.all
    metrics.family(
      "rowcast_http_requests_total", .counter, "Requests answered, by route and status.",
      all.flatMap { key, figures -> [MetricsText.Sample] in
        figures.byStatus.sorted { $0.key < $1.key }.map { status, count in
          (Self.labels(key) + [("status", String(status))], Double(count))
        }
      })
    metrics.histogram(
      "rowcast_http_request_duration_seconds", "Time from a request's head to its answer.",
      bounds: RequestFigures.bounds,
      all.map { key, figures -> MetricsText.Distribution in
        .init(
          labels: Self.labels(key), counts: figures.buckets.map(Double.init), sum: figures.seconds)
      })
    metrics.single(
      "rowcast_http_connections", .gauge, "Open connections.", Double(server.clients.count))
    metrics.single(
      "rowcast_http_connection_limit", .gauge, "Connections that may be open.",
      Double(connectionLimit))
  }

  private static func labels(_ key: RequestFigures.Key) -> MetricsText.Labels {
    [("route", key.route), ("method", key.method)]
  }

  private func addAccess(to metrics: inout MetricsText) {
    metrics.family(
      "rowcast_http_rejected_requests_total", .counter,
      "Requests of routes that need a key without one that is good for it, by what was wrong.",
      AccessFigures.Rejection.allCases.map { reason -> MetricsText.Sample in
        ([("reason", reason.rawValue)], Double(server.access.count(of: reason)))
      })
    metrics.family(
      "rowcast_http_rate_limited_requests_total", .counter,
      "Requests refused because they came too often, by what came too often.",
      AccessFigures.Limit.allCases.map { limit -> MetricsText.Sample in
        ([("of", limit.rawValue)], Double(server.access.count(of: limit)))
      })
    metrics.single(
      "rowcast_tls_certificate_expiry_timestamp_seconds", .gauge,
      "When the certificate that is shown expires, since 1970; the first of its chain.",
      certificates.map { Double($0.expiry) })
    metrics.single(
      "rowcast_tls_certificate_refusals_total", .counter,
      "Times that changed files of the certificate could not be used.",
      certificates.map { Double($0.refusalCount) })
  }

  private func addScoring(to metrics: inout MetricsText) {
    let figures = server.queue.figures
    metrics.single(
      "rowcast_http_waiting_requests", .gauge, "Requests that wait to be scored.",
      Double(figures.waiting))
    metrics.single(
      "rowcast_http_waiting_rows", .gauge, "Rows that wait to be scored.",
      Double(figures.waitingRows))
    metrics.single(
      "rowcast_http_scored_rows_total", .counter, "Rows of requests that were scored.",
      Double(figures.scoredRows))
    metrics.single(
      "rowcast_http_batches_total", .counter, "Batches in which they were scored.",
      Double(figures.batches))
    metrics.single(
      "rowcast_http_refused_requests_total", .counter,
      "Requests refused because too many waited.", Double(figures.refused))
    metrics.single(
      "rowcast_http_abandoned_requests_total", .counter,
      "Requests not scored because their client was gone.", Double(figures.abandoned))
    let records = server.recorder.figures
    metrics.single(
      "rowcast_http_recorded_requests_total", .counter, "Requests written to the record.",
      Double(records.written))
    metrics.single(
      "rowcast_http_unrecorded_requests_total", .counter,
      "Requests that were to be recorded and were not.", Double(records.lost))
    metrics.single(
      "rowcast_http_waiting_records", .gauge, "Requests that wait to be recorded.",
      Double(records.waiting))
  }

  private func addModels(to metrics: inout MetricsText) {
    let figures = server.library.figures
    metrics.single(
      "rowcast_model_memory_bytes", .gauge, "Memory of the models that this process has loaded.",
      Double(figures.byteCount))
    metrics.single(
      "rowcast_model_memory_limit_bytes", .gauge, "Memory that models may take together.",
      Double(server.library.capacity))
    metrics.single(
      "rowcast_models_loaded", .gauge, "Models that this process has loaded.",
      Double(figures.count))
    metrics.single(
      "rowcast_model_loads_total", .counter, "Models loaded by this process.",
      Double(figures.loads))
    metrics.single(
      "rowcast_model_load_seconds_total", .counter, "Time that loading them took.",
      figures.loadSeconds)
    metrics.single(
      "rowcast_model_load_failures_total", .counter, "Models that could not be loaded.",
      Double(figures.failures))
    metrics.single(
      "rowcast_model_unloads_total", .counter, "Models let go of, for the memory of others.",
      Double(figures.unloads))
  }

  private func addReadiness(to metrics: inout MetricsText) {
    metrics.single(
      "rowcast_http_ready", .gauge, "Whether the server is ready for requests.",
      server.isReady ? 1 : 0)
    metrics.family(
      "rowcast_http_ready_condition", .gauge, "Whether each of what that takes holds.",
      Readiness.Condition.allCases.map { condition -> MetricsText.Sample in
        ([("condition", condition.rawValue)], server.readiness.holds(condition) ? 1 : 0)
      })
    metrics.single(
      "rowcast_database_silence_seconds", .gauge,
      "How long ago the database answered the server's own questions.",
      server.readiness.silence / .seconds(1))
    metrics.single(
      "rowcast_schema_version_needed", .gauge, "The schema that this release works with, at least.",
      Double(Readiness.neededVersion))
    metrics.family(
      "rowcast_build_info", .gauge, "1, with the release as label.",
      [([("release", server.release)], 1)])
  }
}

internal import Glibc
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore

/// The server's own figures, as Prometheus reads them.
struct MetricsEndpoint: Sendable {
  let server: ServerParts
  private let startedAt = time(nil)

  init(server: ServerParts) { self.server = server }

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
    addScoring(to: &metrics)
    addProcess(to: &metrics)
    return metrics.text
  }

  private func addRequests(to metrics: inout MetricsText) {
    let all = server.figures.all
    metrics.describe(
      "rowcast_http_requests_total", .counter, "Requests answered, by route and status.")
    for (key, figures) in all {
      for (status, count) in figures.byStatus.sorted(by: { $0.key < $1.key }) {
        metrics.sample(
          "rowcast_http_requests_total",
          [("route", key.route), ("method", key.method), ("status", String(status))],
          Double(count))
      }
    }
    let name = "rowcast_http_request_duration_seconds"
    metrics.describe(name, .histogram, "Time from a request's head to its answer.")
    for (key, figures) in all {
      let labels = [("route", key.route), ("method", key.method)]
      var count = 0
      for (index, bucket) in figures.buckets.enumerated() {
        count += bucket
        let bound =
          index < RequestFigures.bounds.count ? "\(RequestFigures.bounds[index])" : "+Inf"
        metrics.sample(name + "_bucket", labels + [("le", bound)], Double(count))
      }
      metrics.sample(name + "_sum", labels, figures.seconds)
      metrics.sample(name + "_count", labels, Double(count))
    }
    metrics.single(
      "rowcast_http_connections", .gauge, "Open connections.", Double(server.clients.count))
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
      "rowcast_http_scored_rows_total", .counter, "Rows that were scored.",
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
    metrics.single(
      "rowcast_model_memory_bytes", .gauge, "Memory of the models that are loaded.",
      Double(server.library.byteCount))
    metrics.single(
      "rowcast_http_ready", .gauge, "Whether the server is ready for requests.",
      server.isReady ? 1 : 0)
  }

  private func addProcess(to metrics: inout MetricsText) {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    metrics.single(
      "process_cpu_seconds_total", .counter, "Processor time, of all threads.",
      seconds(usage.ru_utime) + seconds(usage.ru_stime))
    metrics.single(
      "process_resident_memory_bytes", .gauge, "Memory in use.", Double(Self.residentByteCount))
    metrics.single(
      "process_start_time_seconds", .gauge, "When the server was made, since 1970.",
      Double(startedAt))
  }

  private static var residentByteCount: Int {
    guard let file = fopen("/proc/self/statm", "re") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    // All pages, then those in memory.
    let fields = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.split(separator: 0x20)
      .compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    return fields.count > 1 ? fields[1] * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
  }
}

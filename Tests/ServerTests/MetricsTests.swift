import Foundation
import Postgres
import Server
import TestSupport
import Testing

/// The server's figures, and what identifies a request.
@Suite(.database) struct MetricsTests {
  @Test func figuresAreCountedByRoute() async throws {
    try ServerScene.push("lightgbm_multiclass", as: "bank")
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let rows = try ServerScene.lines(of: "lightgbm_multiclass", "rows.csv").prefix(11)
      for _ in 0..<3 {
        let answer = try await scene.post(
          "/v1/models/bank/predict", rows.joined(separator: "\n"),
          headers: ["Content-Type": "text/csv"])
        #expect(answer.status == 200)
      }
      _ = try await scene.get("/a/\(UUID())")
      _ = try await scene.get("/b/\(UUID())")
      let answer = try await scene.get("/metrics")
      #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
      let samples = try Figures.samples(of: answer.text)
      #expect(!Figures.names(of: answer.text).isEmpty)
      let labels = #"{route="/v1/models/{model}/predict",method="POST""#
      #expect(samples["rowcast_http_requests_total\(labels),status=\"200\"}"] == 3)
      #expect(samples["rowcast_http_request_duration_seconds_count\(labels)}"] == 3)
      #expect(samples["rowcast_http_request_duration_seconds_bucket\(labels),le=\"+Inf\"}"] == 3)
      #expect(samples["rowcast_http_scored_rows_total"] == 30)
      #expect((samples["rowcast_model_memory_bytes"] ?? 0) > 0)
      #expect(samples["rowcast_http_ready"] == 1)
      #expect(samples["rowcast_models_loaded"] == 1)
      #expect(samples["rowcast_model_loads_total"] == 1)
      #expect((samples["rowcast_model_load_seconds_total"] ?? 0) > 0)
      #expect(samples["rowcast_build_info{release=\"test\"}"] == 1)
      for condition in ["database", "schema", "models"] {
        #expect(samples["rowcast_http_ready_condition{condition=\"\(condition)\"}"] == 1)
      }
      for name in [
        "process_open_fds", "process_max_fds", "process_threads", "process_cpu_seconds_total",
        "process_resident_memory_bytes", "rowcast_memory_limit_bytes",
        "rowcast_http_connection_limit",
      ] {
        #expect((samples[name] ?? 0) > 0, "\(name)")
      }
      // Paths that are none are one.
      #expect(samples.keys.count { $0.contains("status=\"404\"") } == 1)
    }
  }

  @Test func aRequestKeepsItsName() async throws {
    try await ServerScene.run({ $0.needsKeys = false }) { scene in
      let named = try await scene.get("/v2", headers: ["X-Request-ID": "order-17.a_B"])
      #expect(named.headers["x-request-id"] == "order-17.a_B")
      let odd = try await scene.get("/v2", headers: ["X-Request-ID": "a b{\"level\":\"error\"}"])
      let given = try #require(odd.headers["x-request-id"])
      #expect(given.count >= 16 && given.allSatisfy { $0.isHexDigit })
    }
  }
}

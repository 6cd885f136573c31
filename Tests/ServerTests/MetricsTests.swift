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
      var samples: [String: Double] = [:]
      var described: Set<Substring> = []
      for line in answer.text.split(separator: "\n") {
        if line.hasPrefix("# TYPE ") {
          #expect(described.insert(line.split(separator: " ")[2]).inserted)
        } else if !line.hasPrefix("#") {
          let end = try #require(line.lastIndex(of: " "))
          let name = String(line[..<end])
          #expect(samples[name] == nil, "\(name)")
          samples[name] = Double(line[line.index(after: end)...])
        }
      }
      let labels = #"{route="/v1/models/{model}/predict",method="POST""#
      #expect(samples["rowcast_http_requests_total\(labels),status=\"200\"}"] == 3)
      #expect(samples["rowcast_http_request_duration_seconds_count\(labels)}"] == 3)
      #expect(samples["rowcast_http_request_duration_seconds_bucket\(labels),le=\"+Inf\"}"] == 3)
      #expect(samples["rowcast_http_scored_rows_total"] == 30)
      #expect((samples["rowcast_model_memory_bytes"] ?? 0) > 0)
      #expect(samples["rowcast_http_ready"] == 1)
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

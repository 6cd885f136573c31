import Server
import TestSupport
import Testing

/// Who asks too often is told when to come again.
@Suite(.database) struct RateLimiterTests {
  @Test func tokensComeAtTheRate() {
    let limiter = RateLimiter(rate: 2, burst: 3)
    let start = ContinuousClock.now
    for _ in 0..<3 { #expect(limiter.take("a", at: start) == nil) }
    #expect(limiter.take("a", at: start) == 0.5)
    // Another's bucket is another.
    #expect(limiter.take("b", at: start) == nil)
    #expect(limiter.take("a", at: start + .milliseconds(500)) == nil)
    #expect(limiter.take("a", at: start + .milliseconds(500)) != nil)
    // No more than the burst is saved up, and time that goes back takes nothing away.
    for _ in 0..<3 { #expect(limiter.take("a", at: start + .seconds(3600)) == nil) }
    #expect(limiter.take("a", at: start) != nil)
  }

  @Test func manyNamesAreForgotten() {
    let limiter = RateLimiter(rate: 1, burst: 1)
    let start = ContinuousClock.now
    for name in 0..<30_000 { #expect(limiter.take("\(name)", at: start) == nil) }
  }

  @Test func aKeyThatAsksTooOftenIsRefused() async throws {
    let (busy, other) = (try ServerScene.key("busy"), try ServerScene.key("other"))
    try await ServerScene.run({ $0.requestsPerSecond = 0.001 }) { scene in
      func status(_ key: String) async throws -> ServerScene.Answer {
        try await scene.get("/v2", headers: ["Authorization": "Bearer \(key)"])
      }
      #expect(try await status(busy.key).status == 200)
      let refused = try await status(busy.key)
      #expect(refused.status == 429)
      #expect(Int(refused.headers["retry-after"] ?? "") ?? 0 > 0)
      #expect(try await status(other.key).status == 200)
      #expect(try await scene.get("/v2/health/live").status == 200)
    }
  }
}

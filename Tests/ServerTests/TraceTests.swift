import Foundation
import Logging
import Postgres
import Server
import TestSupport
import Testing

/// Where requests are in traces, and what the log says of them.
@Suite(.database) struct TraceTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private static let span = "00f067aa0ba902b7"

  @Test(arguments: [
    ("00-\(trace)-\(span)-01", true), ("00-\(trace)-\(span)-00", false),
    ("00-\(trace)-\(span)-03", true), ("00-\(trace)-\(span)-ff", true),
    ("cc-\(trace)-\(span)-01", true), ("cc-\(trace)-\(span)-01-what-comes-later", true),
  ])
  func aTraceIsContinued(field: String, isSampled: Bool) throws {
    let context = try #require(TraceContext(field))
    #expect(context.traceID == Self.trace)
    #expect(context.parentID == Self.span)
    #expect(context.isSampled == isSampled)
    Self.expectSpan(context.spanID)
    #expect(context.spanID != Self.span)
    #expect(
      context.response == "00-\(Self.trace)-\(context.spanID)-\(isSampled ? "01" : "00")")
    #expect(TraceContext(field)?.spanID != context.spanID)
  }

  private static func expectSpan(_ text: String) {
    #expect(text.wholeMatch(of: #/[0-9a-f]{16}/#) != nil && text.contains { $0 != "0" }, "\(text)")
  }

  @Test(arguments: [
    "", "-", "nonsense", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-01-more",
    "00-\(trace)-\(span)-01,00-\(trace)-\(span)-01", "00-\(trace.uppercased())-\(span)-01",
    "ff-\(trace)-\(span)-01", "00-\(trace)-\(span)-0", "00-\(trace)-\(span)-zz",
    "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
    "00-\(trace)0-\(span)-01", "00-\(trace)-\(span) -01", "0-\(trace)-\(span)-01",
    "00-\(trace)-\(span)-01\n",
  ])
  func aMalformedOneIsReplaced(field: String) throws {
    let context = try #require(TraceContext(field))
    #expect(context.traceID != Self.trace)
    #expect(context.traceID.wholeMatch(of: #/[0-9a-f]{32}/#) != nil)
    #expect(context.parentID == nil && !context.isSampled)
    Self.expectSpan(context.spanID)
    #expect(TraceContext(field)?.traceID != context.traceID)
  }

  @Test func aRequestIsNamedInItsAnswerAndInTheLog() async throws {
    let log = RecordedLog()
    try await ServerScene.run({ $0.needsKeys = false }, log: log) { scene in
      let traced = try await scene.get(
        "/v2",
        headers: [
          "traceparent": "00-\(Self.trace)-\(Self.span)-01", "X-Request-ID": "order-17",
        ])
      let malformed = try await scene.get("/v2", headers: ["traceparent": "nonsense"])
      let plain = try await scene.get("/v2")
      #expect(TraceContext(nil) == nil)
      #expect(plain.headers["traceresponse"] == nil)
      let own = try #require(
        traced.headers["traceresponse"]?.split(separator: "-").map(String.init))
      #expect(own.count == 4 && own[1] == Self.trace && own[3] == "01")
      let new = try #require(
        malformed.headers["traceresponse"]?.split(separator: "-").map(String.init))
      #expect(new.count == 4 && new[1] != Self.trace)

      func line(_ answer: ServerScene.Answer) async throws -> RecordedLog.Line {
        let id = try #require(answer.headers["x-request-id"])
        try await ServerScene.eventually { log.lines.contains { $0.metadata["request.id"] == id } }
        return try #require(log.lines.first { $0.metadata["request.id"] == id })
      }
      let first = try await line(traced)
      #expect(first.level == .info && first.message == "request")
      #expect(first.metadata["request.id"] == "order-17")
      #expect(first.metadata["route"] == "/v2" && first.metadata["status"] == "200")
      #expect(first.metadata["trace.id"] == Self.trace)
      #expect(first.metadata["parent.id"] == Self.span)
      #expect(first.metadata["span.id"] == own[2])
      let second = try await line(malformed).metadata
      #expect(second["trace.id"] == new[1] && second["parent.id"] == nil)
      let third = try await line(plain).metadata
      #expect(third["trace.id"] == nil && third["span.id"] == nil)
    }
  }
}

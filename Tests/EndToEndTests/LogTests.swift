import Foundation
import FoundationNetworking
import Postgres
import TestSupport
import Testing

/// Logs for programs that gather them.
@Suite("Logs", .emptyDatabase) struct LogTests {
  @Test("a worker and a server write an object of JSON a line")
  func objects() throws {
    let database = Database.current.settings.description
    #expect(try Program.run("migrate", "--database", database).status == 0)
    for arguments in [["worker", "--lanes", "1"], ["serve", "--port", "0", "--without-keys"]] {
      let folder = try Folder()
      let program = try Program.start(
        arguments + ["--database", database, "--log-level", "debug", "--log-format", "json"],
        in: folder.path, files: folder)
      if arguments[0] == "worker" {
        #expect(try eventually { program.errors.contains("worker started") })
      } else {
        try program.waitForOutput("serving on ")
        let url = try #require(program.output.split(separator: " ").last)
          .trimmingCharacters(in: .newlines)
        URLSession.shared.dataTask(with: try #require(URL(string: url + "/v2/health/live")))
          .resume()
        #expect(try eventually { program.errors.contains("/v2/health/live") })
      }
      program.send(SIGTERM)
      #expect(try program.waitForExit() == 0)
      let lines = program.errors.split(separator: "\n")
      #expect(!lines.isEmpty)
      for line in lines {
        let object = try #require(
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String], "\(line)")
        #expect(Set(object.keys).isSuperset(of: ["time", "level", "message"]), "\(line)")
      }
    }
  }

  /// Neither the pipe nor the server keeps all lines; the requests behind them are answered all the same.
  @Test("whoever does not read the log keeps nobody waiting, and whoever leaves ends nobody")
  func readers() async throws {
    let database = Database.current.settings.description
    #expect(try Program.run("migrate", "--database", database).status == 0)
    let (server, output, errors) = (Process(), Pipe(), Pipe())
    server.executableURL = URL(filePath: try Program.path())
    server.arguments = [
      "serve", "--port", "0", "--without-keys", "--database", database, "--log-level", "info",
      "--log-format", "json",
    ]
    (server.standardOutput, server.standardError) = (output, errors)
    try server.run()
    defer { server.terminate() }
    let said = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    let text = try #require(said.split(whereSeparator: \.isWhitespace).last)
    let url = try #require(URL(string: text + "/v2/health/live"))
    func ask(_ count: Int) async throws {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            for _ in 0..<count / 8 {
              let (_, answer) = try await URLSession.shared.data(from: url)
              #expect((answer as? HTTPURLResponse)?.statusCode == 200)
            }
          }
        }
        try await group.waitForAll()
      }
    }
    let asked = 8000
    try await ask(asked)
    // From now on somebody reads.
    var (bytes, requests, dropped) = (Data(), 0, 0)
    while requests + dropped < asked {
      bytes += errors.fileHandleForReading.availableData
      while let end = bytes.firstIndex(of: 0x0A) {
        let line = bytes[..<end]
        let object = try #require(
          try JSONSerialization.jsonObject(with: line) as? [String: String])
        if object["message"] == "request" { requests += 1 }
        dropped += object["log.dropped"].flatMap { Int($0) } ?? 0
        bytes = Data(bytes[bytes.index(after: end)...])
      }
    }
    #expect(requests + dropped == asked && dropped > 0 && requests > 1000, "\(dropped) dropped")
    try errors.fileHandleForReading.close()
    try await ask(80)
    server.interrupt()
    server.waitUntilExit()
    #expect(server.terminationReason == .exit && server.terminationStatus == 0)
  }

  @Test("what is no format is refused")
  func formats() throws {
    #expect(try Program.run("worker", "--log-format", "xml").status == 64)
    #expect(try Program.run("serve", "--pin", "@").status == 64)
  }
}

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

  @Test("what is no format is refused")
  func formats() throws {
    #expect(try Program.run("worker", "--log-format", "xml").status == 64)
    #expect(try Program.run("serve", "--pin", "@").status == 64)
  }
}

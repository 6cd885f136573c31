import Foundation
import Testing

/// What scripts rely on: the status, and errors in one form on standard error.
@Suite("Exit status")
struct ExitStatusTests {
  @Test(
    "is 64 for wrong usage",
    arguments: [
      ["predict"], ["predict", "m", "f", "--to", "xml"], ["inspect"], ["nonsense"],
      ["push", "file"],
      ["push", "f", "--name", ""],
      ["up", "--listen", "70000"], ["up", "--lanes", "0"], ["worker", "--log-level", "loud"],
      ["serve", "--log-payloads", "2"],
      ["demo", "--seconds", "-1"], ["bench", "sideways"], ["bench", "--rows", "3"],
      ["bench", "soak", "--minutes", "0"], ["worker", "--model-memory", "0"],
      ["bench", "engine", "--batches", "0"], ["bench", "load", "--times", "-1"],
      ["status", "--interval", "0"], ["migrate", "--dryrun"],
    ])
  func usage(arguments: [String]) throws {
    let run = try Program.run(arguments)
    #expect(run.status == 64)
    #expect(run.output == "")
    #expect(run.errors.hasPrefix("rowcast: error: "))
    #expect(run.errors.contains("\nrowcast: hint: Run \"rowcast help"))
  }

  @Test(
    "is 69 without a database",
    arguments: [["models"], ["scorers"], ["status", "--once"], ["migrate"], ["worker"]])
  func noDatabase(arguments: [String]) throws {
    let run = try Program.run(arguments)
    #expect(run.status == 69)
    #expect(run.errors.hasPrefix("rowcast: error: no database given, and no appliance runs on"))
  }

  @Test("is 69 for a server that is not there")
  func noServer() throws {
    let run = try Program.run(
      "models", "--database", "host=/nonexistent dbname=shop password=hush")
    #expect(run.status == 69)
    #expect(run.errors.hasPrefix("rowcast: error: "))
    #expect(!run.errors.contains("hush"))
  }

  @Test("is 69 for a doctor without a patient, who still looks at the machine")
  func doctorWithoutDatabase() throws {
    let run = try Program.run("doctor", "--json")
    #expect(run.status == 69)
    #expect(run.output.contains("\"name\" : \"cores\""))
    #expect(run.output.contains("\"state\" : \"bad\""))
  }

  @Test("is 0 for stopping what does not run")
  func downWithoutUp() throws {
    let run = try Program.run("down")
    #expect(run.status == 0)
    #expect(run.output == "no appliance runs on \".data\"\n")
  }
}

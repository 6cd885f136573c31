import ArgumentParser
import Postgres
import Schema

struct Migrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring the database up to the schema of this release.",
    discussion: """
      Needs the database's owner, or a role that may create schemas; the first time it creates \
      four roles, so CREATEROLE too unless they are there. Any number may run at once: one does \
      the work, the others wait and find it done. Twice is harmless.

      EXAMPLE
        rowcast migrate --dry-run --database postgresql://owner@db.example/shop
        rowcast migrate --database postgresql://owner@db.example/shop
      """)

  @OptionGroup var connection: ConnectionOptions
  @Flag(help: "List what would be applied, and change nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  private struct Report: Encodable {
    struct Step: Encodable {
      var kind: String
      var name: String
    }
    var isDryRun: Bool
    var databaseVersion: Int
    var releaseVersion: Int
    var steps: [Step]
  }

  func run() throws {
    let plan = try Migrator(connection.settings(application: "rowcast migrate"))
      .migrate(dryRun: dryRun)
    let terminal = Terminal.standardOutput
    if output.json {
      let report = Report(
        isDryRun: dryRun, databaseVersion: plan.databaseVersion,
        releaseVersion: plan.releaseVersion,
        steps: plan.steps.map { .init(kind: $0.kind.rawValue, name: $0.name) })
      terminal.line(try JSONText.of(report))
      return
    }
    guard !plan.isEmpty else {
      terminal.line("the database is at schema \(plan.releaseVersion) already")
      return
    }
    for step in plan.steps {
      terminal.line("\(dryRun ? "would apply" : "applied") \(step.kind.rawValue) \(step.name)")
    }
    terminal.line(
      "\(dryRun ? "would go" : "went") from schema \(plan.databaseVersion) "
        + "to \(plan.releaseVersion)")
  }
}

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

  func run() throws {
  }
}

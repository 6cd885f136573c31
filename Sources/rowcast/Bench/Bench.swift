import ArgumentParser
import Foundation
import Inference
import Postgres
import Scoring

struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure bulk, latency and writers against their floors, in one run.",
    discussion: """
      On a throw-away PostgreSQL with fsync on, or on --database (in a schema of its own that is \
      dropped at the end). Every measurement stands beside its floor: what the same server does \
      on the same data by as many connections when nothing is scored.

        bulk      a backfill from create_scorer to the last prediction; the floor is reading \
      the same features and copying the same predictions
        latency   single-row inserts on an idle appliance until another connection sees the \
      prediction; the floor is two bare connections that pass a row on
        writers   commits per second of 64 single-row writers, watched and unwatched in turn

      EXAMPLE
        rowcast bench
        rowcast bench bulk --rows 200000 --json > bulk.json
      """)

  enum Part: String, ExpressibleByArgument, CaseIterable {
    case bulk, latency, writers
  }

  @Argument(help: "Which to measure: bulk, latency or writers; all when none is given.")
  var parts: [Part] = []

  @Option(help: "Rows of the bulk part.")
  var rows = 1_000_000

  @Option(help: "Repeats, of which the median counts.")
  var repeats = 3

  @Option(help: "Lanes, and connections of the floors. Default: the cores.")
  var lanes: Int?

  @Option(help: "Inserts of the latency part.")
  var inserts = 300

  @Option(help: "Writers of the writers part.")
  var writers = 64

  @Option(help: ArgumentHelp("Length of each round of the writers part.", valueName: "seconds"))
  var roundSeconds = 4

  @Flag(inversion: .prefixedNo, help: "fsync of the throw-away server.")
  var fsync = true

  @Option(
    name: [.customLong("database"), .customShort("d")],
    help: ArgumentHelp("Measure on this database instead; it needs a superuser.", valueName: "uri"))
  var database: String?

  @Option(help: ArgumentHelp("The model of bulk and latency.", valueName: "file"))
  var model: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 1000 else { throw ValidationError("--rows must be 1000 or more") }
    guard repeats >= 1 else { throw ValidationError("--repeats must be 1 or more") }
    guard inserts >= 20 else { throw ValidationError("--inserts must be 20 or more") }
    guard writers >= 1 else { throw ValidationError("--writers must be 1 or more") }
    guard roundSeconds >= 1 else { throw ValidationError("--round-seconds must be 1 or more") }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }
}

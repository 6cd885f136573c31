import ArgumentParser
import Foundation
import Postgres

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check the server, the rights and this machine, and say what to change.",
    discussion: """
      Looks at the server's version, the caller's rights, settings that matter to Rowcast, old \
      snapshots, the two clocks, and the CPU, memory and open files that a worker here would have. \
      Changes nothing.

      EXAMPLE
        rowcast doctor --database postgresql://app@db.example/shop
        rowcast doctor --json | jq '.checks[] | select(.state != "good")'

      EXIT STATUS
        0 nothing is wrong (there may be advice), 1 something is, 69 no database
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  private struct Report: Encodable {
    var checks: [Check]
  }

  func run() throws {
    var checks = MachineChecks.all()
    var failure: CommandError?
    do {
      let session = try Connection(connection.settings(application: "rowcast doctor"))
      checks += try ServerChecks(session).all()
    } catch {
      let problem = CommandError(describing: error)
      checks.append(
        Check("database", .bad, problem.message, advice: problem.hint ?? problem.detail))
      failure = problem
    }
    if output.json {
      Terminal.standardOutput.line(try JSONText.of(Report(checks: checks)))
    } else {
      show(checks)
    }
    if let failure { throw ExitCode(failure.status.rawValue) }
    if checks.contains(where: { $0.state == .bad }) {
      throw ExitCode(CommandError.Status.failed.rawValue)
    }
  }

  private func show(_ checks: [Check]) {
    let terminal = Terminal.standardOutput
    let width = checks.map(\.name.count).max() ?? 0
    for check in checks {
      let mark =
        switch check.state {
        case .good: terminal.styled("good  ", .green)
        case .advice: terminal.styled("advice", .yellow)
        case .bad: terminal.styled("bad   ", .red)
        }
      let name = check.name.padding(toLength: width, withPad: " ", startingAt: 0)
      terminal.line("\(mark)  \(name)  \(check.found)")
      if check.state != .good, let advice = check.advice {
        terminal.line(String(repeating: " ", count: 8 + width + 2) + "→ " + advice)
      }
    }
    let bad = checks.count { $0.state == .bad }
    let advice = checks.count { $0.state == .advice }
    terminal.line("\(checks.count) checks: \(bad) bad, \(advice) with advice")
  }
}

/// One thing looked at.
struct Check: Encodable {
  enum State: String, Encodable {
    case good, advice, bad
  }

  var name: String
  var state: State
  /// What is there.
  var found: String
  /// What to do, where the state is not good.
  var advice: String?

  init(_ name: String, _ state: State, _ found: String, advice: String? = nil) {
    self.name = name
    self.state = state
    self.found = found
    self.advice = state == .good ? nil : advice
  }
}

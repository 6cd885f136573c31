import ArgumentParser
import Foundation

struct Down: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop the appliance that runs on a data directory.",
    discussion: """
      Asks it to stop as Ctrl-C would, and waits: lanes give back what they hold, then the \
      database shuts down. Data stay. Where none runs, that is said and nothing is done.

      EXAMPLE
        rowcast down --data-dir .data
      """)

  @OptionGroup var directory: DataDirectoryOptions

  @Option(help: ArgumentHelp("How long to wait.", valueName: "seconds"))
  var timeout: Int = 60

  func run() throws {
    let data = directory.dataDirectory
    guard try data.isLocked() else {
      Terminal.standardOutput.line("no appliance runs on \"\(directory.path)\"")
      return
    }
    guard let running = try data.running() else {
      throw CommandError(
        .failed, "the appliance on \"\(directory.path)\" is still starting",
        hint: "Try again in a moment.")
    }
    guard kill(running.pid, SIGTERM) == 0 else {
      throw CommandError(
        .failed, "cannot signal process \(running.pid): \(CommandError.reason(errno))",
        hint: "Stop it as the user who started it.")
    }
    let clock = ContinuousClock()
    let start = clock.now
    while try data.isLocked() {
      guard clock.now - start < .seconds(timeout) else {
        throw CommandError(
          .failed, "process \(running.pid) still runs after \(timeout) s",
          hint: "Look at its log; give --timeout more.")
      }
      usleep(20_000)
    }
    let seconds = Format.length(seconds: Format.seconds(clock.now - start))
    Terminal.standardOutput.line("appliance on \"\(directory.path)\" stopped in \(seconds)")
  }
}

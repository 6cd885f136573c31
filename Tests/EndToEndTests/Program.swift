import Foundation
import Testing

/// The built `rowcast`, run as a process.
struct Program {
  /// What a run came to.
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String
  }

  enum Failure: Error {
    case notBuilt(String)
    case tookTooLong([String])
    case said(String, insteadOf: String)
  }

  /// Beside the program that runs the tests.
  static func path() throws -> String {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let path = tests.deletingLastPathComponent().appending(path: "rowcast").path
    guard FileManager.default.isExecutableFile(atPath: path) else { throw Failure.notBuilt(path) }
    return path
  }

  /// The checkout's root, where `deploy/` is.
  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// Runs it to its end, with nothing of the caller's PG* environment.
  static func run(
    _ arguments: String..., input: String = "", in directory: String? = nil,
    environment: [String: String] = [:], timeout: Duration = .seconds(120)
  ) throws -> Outcome {
    try run(arguments, input: input, in: directory, environment: environment, timeout: timeout)
  }

  static func run(
    _ arguments: [String], input: String = "", in directory: String? = nil,
    environment: [String: String] = [:], timeout: Duration = .seconds(120)
  ) throws -> Outcome {
    let folder = try Folder()
    let program = try start(
      arguments, input: input, in: directory ?? folder.path, environment: environment,
      files: folder)
    let status = try program.waitForExit(timeout: timeout)
    return Outcome(status: status, output: program.output, errors: program.errors)
  }

  /// Starts it and goes on.
  static func start(
    _ arguments: [String], input: String = "", in directory: String,
    environment: [String: String] = [:], files: Folder
  ) throws -> RunningProgram {
    let process = Process()
    process.executableURL = URL(filePath: try path())
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: directory)
    var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
    variables["COLUMNS"] = "80"
    variables["DEMO_SECONDS"] = nil
    process.environment = variables.merging(environment) { $1 }
    let inputPath = try files.write("input", input)
    process.standardInput = try FileHandle(forReadingFrom: URL(filePath: inputPath))
    let outputPath = try files.write("output", "")
    let errorsPath = try files.write("errors", "")
    process.standardOutput = FileHandle(forWritingAtPath: outputPath)
    process.standardError = FileHandle(forWritingAtPath: errorsPath)
    try process.run()
    return RunningProgram(
      process: process, files: files, outputPath: outputPath, errorsPath: errorsPath)
  }
}

/// A run that is not over yet; killed when the value goes away.
final class RunningProgram {
  private let process: Process
  /// Kept, because the files go with it.
  private let files: Folder
  private let outputPath: String
  private let errorsPath: String

  fileprivate init(process: Process, files: Folder, outputPath: String, errorsPath: String) {
    self.process = process
    self.files = files
    self.outputPath = outputPath
    self.errorsPath = errorsPath
  }

  deinit { end() }

  /// Stops it in order, if it still runs; kills it when that takes too long.
  func end() {
    guard process.isRunning else { return }
    send(SIGTERM)
    _ = try? waitForExit(timeout: .seconds(20))
  }

  var processID: Int32 { process.processIdentifier }
  var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: errorsPath, encoding: .utf8)) ?? "" }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// nil while it runs.
  var exitStatus: Int32? { process.isRunning ? nil : process.terminationStatus }

  func waitForExit(timeout: Duration = .seconds(60)) throws -> Int32 {
    let end = ContinuousClock.now + timeout
    while process.isRunning {
      guard ContinuousClock.now < end else {
        kill(process.processIdentifier, SIGKILL)
        throw Program.Failure.tookTooLong(process.arguments ?? [])
      }
      usleep(5_000)
    }
    return process.terminationStatus
  }

  /// Returns once standard output holds the text.
  func waitForOutput(_ text: String, timeout: Duration = .seconds(60)) throws {
    let end = ContinuousClock.now + timeout
    while !output.contains(text) {
      guard process.isRunning, ContinuousClock.now < end else {
        throw Program.Failure.said(output + errors, insteadOf: text)
      }
      usleep(5_000)
    }
  }
}

/// A temporary directory that goes away with the value; a server's own user may pass through it.
final class Folder {
  let path: String

  init() throws {
    var name = Array("/tmp/rowcast-e2e-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else { throw CocoaError(.fileWriteUnknown) }
    path = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    chmod(path, 0o711)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try write(name, Array(text.utf8))
  }

  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = path + "/" + name
    try Data(bytes).write(to: URL(filePath: file))
    return file
  }
}

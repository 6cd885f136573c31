import ArgumentParser
import Foundation
import Logging
import Postgres
import Scoring

struct DemoImages: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "images",
    abstract: "Watch pictures of digits receive categories, from nothing.",
    discussion: """
      Starts an appliance, registers a small network of convolutions, creates a table with a column of \
      pictures (PNG in bytea) and a scorer that names the three likeliest digits of each, and inserts \
      pictures one by one. Two are no good: one is cut short, one claims 20,000 x 20,000 pixels. At the \
      end it checks that each picture has a category or a reason why not, and counts how many are right.

      EXAMPLE
        rowcast demo images
        rowcast demo images --data-dir .data/demo-images   # keeps the database

      EXIT STATUS
        0 each picture has a category or a reason, and 9 of 10 categories are right; 1 otherwise
      """)

  @Option(help: "Pictures a second.")
  var rate = 50.0

  @Option(help: "Threads that score. Default: the cores.")
  var lanes: Int?

  @Option(
    help: ArgumentHelp(
      "Keep the database here. Default: a temporary directory, removed at the end.",
      valueName: "dir"))
  var dataDir: String?

  func validate() throws {
    guard rate > 0, rate <= 10_000 else {
      throw ValidationError("--rate must be more than 0 and at most 10000")
    }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
  }

  func run() async throws {
    let interruption = Interruption()
    let gallery = try DemoGallery(folder: Share.path("deploy/demo/images"))
    let place = try DemoPlace(keeping: dataDir)
    defer { place.remove() }
    let appliance = try Appliance(.init(directory: place.clusterPath))
    // Before the directory goes; nothing to do where it was stopped in order.
    defer { try? appliance.server.stop(.fast) }
    try place.publish(appliance)
    var configuration = WorkerConfiguration(settings: appliance.database)
    if let lanes { configuration.laneCount = lanes }
    let worker = Worker(configuration, logger: WorkerRun.logger(level: .error))
    let show = DemoImagesShow(
      appliance: appliance, gallery: gallery, rate: rate, interruption: interruption,
      keptIn: dataDir)
    let isComplete = try await WorkerRun.during(worker) { try show.run() }
    try appliance.server.stop(.fast)
    if !isComplete { throw ExitCode(CommandError.Status.failed.rawValue) }
  }
}

/// The network of the demo, and pictures that it was not trained with.
struct DemoGallery: Sendable {
  struct Picture: Sendable {
    /// What was written.
    var label: String
    /// Hexadecimal digits of the file.
    var digits: Substring
  }

  var model: [UInt8]
  var labels: [String]
  var pictures: [Picture]

  /// Reads `digits.onnx`, `labels.txt` and `digits.csv`, whose lines are a label and bytes as PostgreSQL
  /// writes them.
  init(folder: String) throws {
    model = try ModelFile.bytes(path: folder + "/digits.onnx")
    labels = try Labels.read(ModelFile.bytes(path: folder + "/labels.txt"))
    let path = folder + "/digits.csv"
    let text = String(decoding: try ModelFile.bytes(path: path), as: UTF8.self)
    pictures = text.split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(separator: ",")
      guard fields.count == 2, fields[1].hasPrefix("\\x") else { return nil }
      return Picture(label: String(fields[0]), digits: fields[1].dropFirst(2))
    }
    guard !pictures.isEmpty else { throw CommandError(.badData, "\"\(path)\" holds no pictures") }
  }
}

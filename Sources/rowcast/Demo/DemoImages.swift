import ArgumentParser
import Foundation
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

  @OptionGroup var place: DemoOptions

  func validate() throws {
    guard rate > 0, rate <= 10_000 else {
      throw ValidationError("--rate must be more than 0 and at most 10000")
    }
  }

  func run() async throws {
    let interruption = Interruption()
    let gallery = try DemoGallery(folder: Share.path("deploy/demo/images"))
    let (rate, kept) = (rate, place.dataDir)
    try await place.during { appliance, _ in
      try DemoImagesShow(
        appliance: appliance, gallery: gallery, rate: rate, interruption: interruption, keptIn: kept
      ).run()
    }
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

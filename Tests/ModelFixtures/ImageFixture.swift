package import Foundation

/// A small encoded image, and what Pillow makes of it; of every kind that is read.
package struct ImageFixture: Decodable, Sendable {
  /// The format, and what is particular: `jpeg_cmyk`.
  package let name: String
  package let bytes: Data
  /// As it is looked at, turned where its EXIF says so.
  package let width: Int
  package let height: Int
  package let rgb: Data

  /// Whether its format keeps pixels as they were: others may be decoded a shade off.
  package var isExact: Bool { !name.hasPrefix("jpeg") && name != "webp" }

  package static func all() throws -> [ImageFixture] {
    let path = Fixtures.root.appending(path: "Tests/InferenceTests/Fixtures/images/decoded.json")
    return try JSONDecoder().decode([ImageFixture].self, from: Data(contentsOf: path))
  }
}

/// Where files of tests are.
package enum Fixtures {
  /// The package's folder.
  package static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../..").standardized
}

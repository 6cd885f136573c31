import Foundation

/// Files that come with the program: `deploy/` of the package that it was built in, or what an
/// installation put under `share/rowcast`.
enum Share {
  /// The first place that has the file or folder.
  ///
  /// Looks at `ROWCAST_SHARE`, then beside the program and above it, then at the working directory.
  static func path(_ name: String) throws -> String {
    var places: [URL] = []
    if let given = ProcessInfo.processInfo.environment["ROWCAST_SHARE"] {
      places.append(URL(filePath: given))
    }
    var place = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent()
    while place.pathComponents.count > 1 {
      places.append(place.appending(path: "share/rowcast"))
      places.append(place)
      place = place.deletingLastPathComponent()
    }
    places.append(URL(filePath: FileManager.default.currentDirectoryPath))
    for place in places {
      let path = place.appending(path: name).path(percentEncoded: false)
      if FileManager.default.fileExists(atPath: path) { return path }
    }
    throw CommandError(
      .badConfiguration, "\"\(name)\" is neither beside the program nor above it",
      hint: "Run it from a checkout, or set ROWCAST_SHARE to the folder that holds \"deploy\".")
  }
}

internal import Foundation

/// Files beside a model that hold the data of its tensors, as ONNX's `external_data` names them.
///
/// Only what lies in the given folder or below is read, and each file is mapped once.
final class ExternalFiles {
  private let folder: URL
  private var files: [String: Data] = [:]

  init(folder: String) { self.folder = URL(fileURLWithPath: folder, isDirectory: true) }

  /// A part of a file.
  ///
  /// - Parameters:
  ///   - location: The file's path, relative to the folder.
  ///   - byteCount: nil for all from `offset` on.
  /// - Throws: `.malformed` for a path that leads out of the folder or a file that is not there,
  ///   `.truncated` for a file that ends before.
  func bytes(
    _ location: String, offset: Int, byteCount: Int?, tensor: String
  ) throws(ModelError) -> Data {
    let file = try file(location, tensor)
    let count = byteCount ?? max(file.count - offset, 0)
    guard offset >= 0, count >= 0, offset <= file.count, count <= file.count - offset else {
      throw ModelError(
        .truncated,
        "tensor \"\(tensor)\" wants \(count) bytes at offset \(offset) of \"\(location)\", "
          + "which has \(file.count)")
    }
    return file[(file.startIndex + offset)..<(file.startIndex + offset + count)]
  }

  private func file(_ location: String, _ tensor: String) throws(ModelError) -> Data {
    if let known = files[location] { return known }
    let parts = location.split(separator: "/", omittingEmptySubsequences: false)
    guard !location.isEmpty, !location.hasPrefix("/"), !parts.contains(".."),
      !location.utf8.contains(0)
    else {
      throw ModelError(
        .malformed, "tensor \"\(tensor)\" keeps its data outside of the model's folder")
    }
    let url = folder.appendingPathComponent(location)
    // A link may lead elsewhere.
    guard
      url.resolvingSymlinksInPath().path.hasPrefix(folder.resolvingSymlinksInPath().path + "/"),
      let data = try? Data(contentsOf: url, options: .mappedIfSafe)
    else {
      throw ModelError(
        .malformed, "tensor \"\(tensor)\" keeps its data in \"\(location)\", which cannot be read",
        hint: "Keep the file beside the model's.")
    }
    files[location] = data
    return data
  }
}

internal import Glibc

/// Limits of the control groups that this process is in: a container's, a service's, a pod's.
///
/// A limit of any group on the way to the root holds for all below it. Both versions are read, and both
/// ways to be in a container: with a view of its own, where its group is the root, and with the host's,
/// where the path names groups that cannot be seen.
package struct ControlGroups: Sendable {
  private let root: String

  /// - Parameter root: A folder in place of `/`.
  package init(root: String = "") { self.root = root }

  /// Cores by the quota of processor time; nil where none is set.
  package var coreCount: Double? {
    let quotas = folders(of: "cpu").compactMap { folder -> Double? in
      if let line = File.firstLine(of: folder + "/cpu.max") {
        let fields = line.split(separator: " ").compactMap { Double($0) }
        return fields.count == 2 && fields[1] > 0 ? fields[0] / fields[1] : nil
      }
      guard
        let quota = File.firstLine(of: folder + "/cpu.cfs_quota_us").flatMap({ Double($0) }),
        let period = File.firstLine(of: folder + "/cpu.cfs_period_us").flatMap({ Double($0) }),
        quota > 0, period > 0
      else { return nil }
      return quota / period
    }
    return quotas.min()
  }

  /// Bytes of memory; nil where no limit is set.
  package var memoryByteCount: Int? {
    folders(of: "memory").flatMap { folder in
      [folder + "/memory.max", folder + "/memory.limit_in_bytes"]
        .compactMap { File.firstLine(of: $0).flatMap { Int($0) } }
    }.filter { $0 > 0 }.min()
  }

  /// The folders of a controller's groups that this process is in, up to the root.
  private func folders(of controller: String) -> [String] {
    var folders: [String] = []
    for line in File.lines(of: root + "/proc/self/cgroup") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let controllers = fields[1].split(separator: ",")
      let mounts: [String]
      if fields[1].isEmpty {
        mounts = ["/sys/fs/cgroup"]
      } else if controllers.contains(where: { $0 == controller }) {
        mounts = ["/sys/fs/cgroup/\(controller)", "/sys/fs/cgroup/\(fields[1])"]
      } else {
        continue
      }
      var path = Substring(fields[2])
      while path.last == "/" { path.removeLast() }
      while true {
        folders += mounts.map { root + $0 + path }
        guard let end = path.lastIndex(of: "/") else { break }
        path = path[..<end]
      }
    }
    return folders
  }
}

/// Small files of the kernel's.
enum File {
  static func firstLine(of path: String) -> String? { lines(of: path).first }

  /// Empty where it cannot be read; the first 64 kB.
  static func lines(of path: String) -> [String] {
    guard let file = fopen(path, "re") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self).split(whereSeparator: \.isNewline)
      .map(String.init)
  }
}

import Foundation
import Glibc
import Postgres

/// A file system of its own, small enough to be filled.
final class SmallDisk {
  let place: URL
  private var ballast: URL { place.appendingPathComponent("ballast") }

  /// Nil where this process may not mount.
  init?(_ scene: String, megabytes: Int) throws {
    place = try FaultScene.makeFolder(scene).appendingPathComponent("disk")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    do {
      try Shell.run(
        "mount", "-t", "tmpfs", "-o", "size=\(megabytes)m,mode=755", "rowcast-chaos", place.path)
    } catch {
      return nil
    }
  }

  /// Puts the server's log of changes elsewhere: a server that cannot write that ends, which is
  /// another fault.
  func moveLog(of server: LocalServer, to folder: String) throws {
    let log = server.configuration.directory + "/pg_wal"
    try server.stop(.fast)
    try Shell.run("mv", log, folder)
    try Shell.run("ln", "-s", folder, log)
    try server.start()
  }

  /// Leaves not a page.
  func fill() throws {
    // It ends with an error, when nothing is left.
    _ = try? Shell.run("dd", "if=/dev/zero", "of=\(ballast.path)", "bs=4k", "status=none")
  }

  func empty() throws { try FileManager.default.removeItem(at: ballast) }

  /// With the scene's folder, which could not go while this was in it.
  func remove() {
    _ = try? Shell.run("umount", "--lazy", place.path)
    try? FileManager.default.removeItem(at: place.deletingLastPathComponent())
  }
}

import Foundation
import Glibc

/// Two networks with a router between them, of which one is this machine's own; the router can stop
/// to forward, and then nobody is told.
///
/// ```text
///   this network ──(near)── router ──(far)── the workers' network
/// ```
final class SplitNetwork {
  /// This machine's address, as the workers see it.
  let address: String
  /// Runs a command in the workers' network.
  let prefix: [String]
  /// All addresses that are used.
  let range = "198.18.0.0/15"
  private let router: String
  private let far: String
  private let near: String

  /// Nil where this process may not make networks.
  init?() throws {
    let number = Int(getpid()) % 250
    (router, far, near) = ("rowcast-r\(number)", "rowcast-w\(number)", "rcnear\(number)")
    address = "198.18.\(number).1"
    guard let program = try? Shell.run("which", "ip") else { return nil }
    prefix = [
      program.trimmingCharacters(in: .whitespacesAndNewlines), "netns", "exec", far,
    ]
    remove()
    do {
      try make(number)
    } catch {
      print("chaos: networks cannot be made here: \(error)")
      remove()
      return nil
    }
  }

  private func make(_ number: Int) throws {
    let subnet = "198.18.\(number)"
    let other = "198.19.\(number)"
    try Shell.run("ip", "netns", "add", router)
    try Shell.run("ip", "netns", "add", far)
    try Shell.run(
      "ip", "link", "add", "name", near, "type", "veth", "peer", "name", "near", "netns", router)
    try Shell.run(
      "ip", "-n", router, "link", "add", "name", "far", "type", "veth", "peer", "name", "home",
      "netns", far)
    try Shell.run("ip", "address", "add", "\(subnet).1/24", "dev", near)
    try Shell.run("ip", "link", "set", near, "up")
    try Shell.run("ip", "-n", router, "address", "add", "\(subnet).2/24", "dev", "near")
    try Shell.run("ip", "-n", router, "address", "add", "\(other).1/24", "dev", "far")
    try Shell.run("ip", "-n", router, "link", "set", "near", "up")
    try Shell.run("ip", "-n", router, "link", "set", "far", "up")
    try Shell.run("ip", "-n", far, "address", "add", "\(other).2/24", "dev", "home")
    try Shell.run("ip", "-n", far, "link", "set", "home", "up")
    try Shell.run("ip", "-n", far, "link", "set", "lo", "up")
    try Shell.run("ip", "-n", far, "route", "add", "default", "via", "\(other).1")
    try Shell.run("ip", "route", "add", "\(other).0/24", "via", "\(subnet).2")
    try connect()
  }

  /// Packets pass.
  func connect() throws { try forward("1") }

  /// Packets vanish, in both directions.
  func cut() throws { try forward("0") }

  private func forward(_ value: String) throws {
    try Shell.run(
      "ip", "netns", "exec", router, "sh", "-c",
      "echo \(value) > /proc/sys/net/ipv4/conf/all/forwarding")
  }

  func remove() {
    _ = try? Shell.run("ip", "link", "delete", near)
    for name in [router, far] { _ = try? Shell.run("ip", "netns", "delete", name) }
  }
}

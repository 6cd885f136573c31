import Foundation

/// What a process or a thread yields to others.
public struct Niceness {
  public var name: String
  public var value: Int

  /// - Parameter folder: `/proc/1`, `/proc/self/task/2`; nil where nobody is there any more.
  public init?(of folder: String) {
    guard let line = try? String(contentsOfFile: "\(folder)/stat", encoding: .utf8),
      let open = line.firstIndex(of: "("), let close = line.lastIndex(of: ")")
    else { return nil }
    // The third field follows the name; the nineteenth is the niceness.
    let fields = line[close...].split(separator: " ")
    guard fields.count > 17, let value = Int(fields[17]) else { return nil }
    name = String(line[line.index(after: open)..<close])
    self.value = value
  }
}

/// Which statements the session has prepared, by text and parameter types; the least recently
/// used goes first.
///
/// A statement is prepared when it comes a second time: what runs once, as most DDL does, would
/// only fill the server's memory.
struct StatementCache {
  struct Key: Hashable {
    var text: String
    var types: [OID]
  }

  enum Plan: Equatable {
    /// Parse, bind and execute without a name.
    case once
    /// Prepare under the name, then execute.
    case prepare(String)
    /// Execute what is prepared under the name.
    case execute(String)
  }

  private struct Entry {
    var name: String?
    var lastUse: Int
  }

  let capacity: Int
  private var entries: [Key: Entry] = [:]
  private var uses = 0
  private var names = 0
  /// Names that the session may still hold and that nothing refers to any more.
  private(set) var dropped: [String] = []

  init(capacity: Int = 256) { self.capacity = capacity }

  mutating func plan(for key: Key) -> Plan {
    uses += 1
    guard var entry = entries[key] else {
      if entries.count >= capacity { evict() }
      entries[key] = Entry(name: nil, lastUse: uses)
      return .once
    }
    defer { entries[key] = entry }
    entry.lastUse = uses
    if let name = entry.name { return .execute(name) }
    names += 1
    let name = "rowcast_\(names)"
    entry.name = name
    return .prepare(name)
  }

  /// The next use starts over; `mayExist` when the session may hold the statement still.
  mutating func forget(_ key: Key, mayExist: Bool) {
    guard let name = entries.removeValue(forKey: key)?.name, mayExist else { return }
    dropped.append(name)
  }

  mutating func takeDropped() -> [String] {
    defer { dropped = [] }
    return dropped
  }

  /// Drops an eighth at once, so that the search for the oldest is rare.
  private mutating func evict() {
    let oldest = entries.sorted { $0.value.lastUse < $1.value.lastUse }
    for (key, _) in oldest.prefix(max(1, capacity / 8)) { forget(key, mayExist: true) }
  }
}

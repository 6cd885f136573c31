internal import Glibc

/// What commits change: what every session sees, and what a crash of the server may take back to the
/// last flush of the write-ahead log.
struct Content: Equatable {
  // MARK: Transactions
  /// Over, one way or the other. A snapshot is a copy of this set.
  var completed = Transactions()
  var committed = Transactions()

  // MARK: The source
  /// A key's row, by the transaction that wrote it; 0 where there is none.
  var rows = Two<UInt8>(0)
  /// Transactions whose rows cannot be scored.
  var unscorable = Transactions()

  // MARK: The log
  /// The child that writers append to.
  var slot: UInt8 = 0
  /// Who appended to each child, whatever became of it: what its file holds.
  var log = Two<Transactions>(Transactions())
  /// The keys that each transaction logged, a bit each.
  var logged = Bytes()
  /// `closed_at_xid` of each child; 0 for null.
  var notes = Two<UInt8>(0)

  // MARK: Ticks
  var lastTick: UInt8 = 0
  /// The snapshot of the last tick that has one.
  var cursor = Transactions()
  var cursorTick: UInt8 = 0
  /// Snapshots by tick, empty for null; kept where something waits.
  var snapshots = Two<Snapshots>(Snapshots())
  /// Whose changes are in chunks. The protocol has no such thing: the properties need it.
  var collected = Transactions()

  // MARK: Work
  /// By tick and key; see `Chunk`.
  var chunks = Bytes()
  var job = Job()

  // MARK: Results, by key
  var predictions = Two<Outcome>(Outcome())
  var failures = Two<Outcome>(Outcome())
  /// The tick of a key's tombstone; 0 where there is none.
  var tombstones = Two<UInt8>(0)

  struct Snapshots: Equatable {
    private var a = Transactions(), b = Transactions(), c = Transactions(), d = Transactions()

    subscript(_ index: UInt8) -> Transactions {
      get { [a, b, c, d][Int(index)] }
      set {
        switch index {
        case 0: a = newValue
        case 1: b = newValue
        case 2: c = newValue
        default: d = newValue
        }
      }
    }
  }

  struct Outcome: Equatable {
    /// The row that it was computed from; 0 where there is no outcome.
    var version: UInt8 = 0
    var tick: UInt8 = 0
    var exists: Bool { version != 0 }
  }

  struct Job: Equatable {
    enum Phase: UInt8 { case none, running, done }
    var phase = Phase.none
    var tick: UInt8 = 0
    /// Keys that chunks were cut for, a bit each.
    var cut: UInt8 = 0
  }
}

/// A chunk of one key, in a byte.
struct Chunk: Equatable {
  enum Phase: UInt8 { case none, available, running, over }

  var phase = Phase.none
  /// From 1 at the first claim; wraps round after 3, to what no earlier claim has.
  var attempt: UInt8 = 0
  /// Who runs it: a lane, or `dead` once the lock of its session is free.
  var claimer: UInt8 = 0
  var deaths: UInt8 = 0

  static let dead: UInt8 = 3

  init(_ phase: Phase) { self.phase = phase }
  init(byte: UInt8) {
    phase = Phase(rawValue: byte & 3)!
    (attempt, claimer, deaths) = (byte >> 2 & 3, byte >> 4 & 3, byte >> 6)
  }
  var byte: UInt8 { phase.rawValue | (attempt & 3) << 2 | (claimer & 3) << 4 | (deaths & 3) << 6 }

  var isOpen: Bool { phase == .available || phase == .running }

  static func place(tick: UInt8, key: Int) -> Int { Int(tick - 1) * 2 + key }
  static func tick(of place: Int) -> UInt8 { UInt8(place / 2 + 1) }
  static func key(of place: Int) -> Int { place % 2 }
}

extension Content {
  func chunk(_ place: Int) -> Chunk { Chunk(byte: chunks[place]) }
  mutating func set(_ chunk: Chunk, at place: Int) { chunks[place] = chunk.byte }
  /// Places up to the last tick's.
  var places: Range<Int> { 0..<Int(lastTick) * 2 }

  /// The lowest tick of what is open: chunks, and jobs that will be cut into some.
  var oldestOpenTick: UInt8 {
    var oldest = UInt8.max
    for place in places where chunk(place).isOpen { oldest = min(oldest, Chunk.tick(of: place)) }
    if job.phase == .running { oldest = min(oldest, job.tick) }
    return oldest
  }

  func snapshot(ofTick tick: UInt8) -> Transactions { snapshots[Int(tick / 4)][tick % 4] }

  /// Appends a tick, which draws the next number.
  mutating func appendTick(_ snapshot: Transactions, keepsSnapshot: Bool) {
    lastTick += 1
    cursor = snapshot
    cursorTick = lastTick
    if keepsSnapshot { snapshots[Int(lastTick / 4)][lastTick % 4] = snapshot }
  }
}

/// All that there is at a moment: content, the same as it was last flushed, sessions and processes.
package struct State: Equatable {
  var content = Content()
  var durable = Content()
  /// The last transaction number that was drawn.
  var lastTransaction: UInt8 = 0
  var writers = Two<Writer>(Writer())
  var dispatchers = Two<Dispatcher>(Dispatcher())
  var tidiers = Two<Tidier>(Tidier())
  var lanes = Two<Lane>(Lane())
  var orderer = Orderer()
  var waiter = Waiter()
  /// What may still go wrong.
  var budget = Budget()
  /// The promise that the step to this state broke.
  var broken = Broken.nothing

  enum Broken: UInt8 { case nothing, overwritten, writtenTwice, givenUp, waitedTooShort }

  struct Budget: Equatable {
    var sessionEnds: UInt8 = 0
    var laneDeaths: UInt8 = 0
    var crashes: UInt8 = 0
    var releases: UInt8 = 0
    var transactions: UInt8 = 0
    var tidies: UInt8 = 0
  }

  struct Writer: Equatable {
    enum Phase: UInt8 {
      case idle
      /// The statement's row is written; its trigger runs.
      case changed, knowsSlot
      /// The statement is over.
      case betweenStatements
      /// Others see the commit; the locks are still held, and the notification is on its way.
      case visible, unlocked
    }
    var phase = Phase.idle
    var number: UInt8 = 0
    var slot: UInt8 = 0
    var key: UInt8 = 0
    /// What the transaction did to each key.
    var changes = Two<Change>(.none)
    var statements: UInt8 = 0
    /// Holds the doorbell's lock, shared.
    var holdsBell = false
    /// Has a notification to send at commit.
    var rings = false

    enum Change: UInt8 { case none, score, spoil, delete }
    var isInTransaction: Bool {
      phase != .idle && phase != .visible && phase != .unlocked
    }
  }

  struct Dispatcher: Equatable {
    enum Phase: UInt8 {
      case standby, awake
      /// Holds the doorbell, exclusively; the last tick is to come.
      case bellTaken
      /// Inside a tick: the snapshot is taken.
      case ticking, lastTicking
      case asleep
    }
    var phase = Phase.standby
    var holdsBell = false
    var listens = false
    /// A notification is here, and was not taken yet.
    var rung = false
    /// Of the tick under way: where it reads from, and up to what.
    var last = Transactions()
    var this = Transactions()
    var isElected: Bool { phase != .standby }
    var isTicking: Bool { phase == .ticking || phase == .lastTicking }
  }

  struct Tidier: Equatable {
    enum Phase: UInt8 {
      case idle
      /// The transaction has its number; whether it holds the ticks' lock, a rule says.
      case begun
      /// Knows what to do, and holds the ticks' lock.
      case decided
    }
    enum Decision: UInt8 { case nothing, note, removeNote, truncate, tickAndTruncate }
    var phase = Phase.idle
    var number: UInt8 = 0
    var decision = Decision.nothing
    var this = Transactions()
  }

  struct Lane: Equatable {
    enum Phase: UInt8 {
      case idle, holding, hasRead
      /// In the transaction that writes: the chunk's row is locked, then the scorer's lock is held,
      /// then the statements are done and only the commit is missing.
      case fenced, locked, decided
    }
    var phase = Phase.idle
    /// What it works on, and with which attempt.
    var place: UInt8 = 0
    var attempt: UInt8 = 0
    /// The row that it read; 0 where there was none.
    var version: UInt8 = 0
    var effects = Effects()

    struct Effects: OptionSet, Equatable {
      let rawValue: UInt8
      static let setPrediction = Effects(rawValue: 1)
      static let deletePrediction = Effects(rawValue: 2)
      static let setFailure = Effects(rawValue: 4)
      static let deleteFailure = Effects(rawValue: 8)
      static let setTombstone = Effects(rawValue: 16)
    }
    var isWriting: Bool { phase == .fenced || phase == .locked || phase == .decided }
    var holdsWriteLock: Bool { phase == .locked || phase == .decided }
  }

  /// Whoever orders a job: its tick is drawn before others see the job.
  struct Orderer: Equatable {
    enum Phase: UInt8 { case idle, drawn, done }
    var phase = Phase.idle
    var tick: UInt8 = 0
  }

  /// A script in `rowcast.wait`.
  struct Waiter: Equatable {
    enum Phase: UInt8 {
      case idle, called
      /// Holds the log's lock, shared, to the end.
      case waiting, collected
      case done
    }
    var phase = Phase.idle
    var holdsLog: Bool { phase == .waiting || phase == .collected }
    var seen = Transactions()
    var rows = Two<UInt8>(0)
    var lastTick: UInt8 = 0
    var collectedBy: UInt8 = 0
    var waitsForJob = false
  }
}

extension State {
  /// Whether somebody is inside what the ticks' lock (1919907683, 4) covers.
  func isTickLocked(_ model: Model) -> Bool {
    for place in 0..<2 {
      if dispatchers[place].isTicking { return true }
      let tidier = tidiers[place]
      if tidier.phase == .decided { return true }
      if tidier.phase == .begun, model.keeps(.noteUnderLock) { return true }
    }
    return false
  }

  /// The same with processes of a kind in one order: which of two writers is the first one makes no
  /// difference to what can happen.
  var canonical: State {
    var state = self
    if writers.isUnordered { state.writers.swap() }
    if dispatchers.isUnordered { state.dispatchers.swap() }
    if tidiers.isUnordered { state.tidiers.swap() }
    var swapped = state
    swapped.lanes.swap()
    for place in content.places {
      var chunk = content.chunk(place)
      guard chunk.phase == .running, chunk.claimer != Chunk.dead else { continue }
      chunk.claimer = 1 - chunk.claimer
      swapped.content.set(chunk, at: place)
    }
    let isSwapped =
      state.lanes.isUnordered
      || !swapped.lanes.isUnordered && Bytes.isOrdered(swapped.content.chunks, content.chunks)
    return isSwapped ? swapped : state
  }

  /// Equal byte by byte; there is no padding.
  static func areSame(_ a: State, _ b: State) -> Bool {
    withUnsafeBytes(of: a) { a in
      withUnsafeBytes(of: b) { b in memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
    }
  }

  /// Eight bytes at a time; the end is SplitMix64's.
  var hash: UInt64 {
    withUnsafeBytes(of: self) { bytes in
      var hash: UInt64 = 0
      var offset = 0
      while offset + 8 <= bytes.count {
        hash ^= bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        hash = hash &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        offset += 8
      }
      while offset < bytes.count {
        hash = (hash ^ UInt64(bytes[offset])) &* 0x9E37_79B9_7F4A_7C15
        offset += 1
      }
      hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
      hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
      return hash ^ (hash >> 31)
    }
  }
}

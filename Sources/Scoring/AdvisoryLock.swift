/// Advisory locks of the two-integer form, whose first integer says what the second one is.
///
/// The SQL functions use the same numbers; they are fixed for ever, since releases run side by side.
enum AdvisoryLock {
  /// The bytes "roc" followed by 0x63: the locks that a database has once.
  static let once: Int32 = 1_919_907_683
  /// Within `once`: shared by writers in flight, exclusive while the dispatcher sleeps.
  static let doorbell: Int32 = 1
  /// Within `once`: held by the elected dispatcher's session.
  static let election: Int32 = 2
  /// A lane is alive; the second integer is its number.
  static let lane: Int32 = 1_919_907_684
}

/// Channels of NOTIFY.
package enum Channel {
  /// The doorbell: a writer committed changes while the dispatcher slept.
  static let change = "rowcast_change"
  /// The dispatcher made chunks that it handed to nobody.
  static let chunk = "rowcast_chunk"
  /// The payload on it where all of them are chunks of jobs.
  static let ofJobs = "jobs"
  /// A worker came, left, or has other sessions than before.
  static let connections = "rowcast_connections"
  /// Models, aliases, scorers, jobs or keys changed.
  package static let control = "rowcast_control"
  /// The payload on it where keys of HTTP changed, and nothing else.
  package static let ofKeys = "key"
  /// Somebody waits for an answer; the payload is the question's number.
  static let question = "rowcast_question"
}

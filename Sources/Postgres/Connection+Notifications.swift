internal import CLibPQ

/// What `NOTIFY` sent.
public struct Notification: Sendable, Equatable {
  public var channel: String
  public var payload: String
  /// The process of the server that ran `NOTIFY`.
  public var backendPID: Int32

  public init(channel: String, payload: String, backendPID: Int32) {
    self.channel = channel
    self.payload = payload
    self.backendPID = backendPID
  }
}

extension Connection {
  /// Asks for the notifications of a channel; takes effect when the open transaction commits.
  public func listen(_ channel: String) throws(PostgresError) {
    try runScript("listen \(Query("\(identifier: channel)").text(quotedBy: handle()))")
  }

  public func unlisten(_ channel: String) throws(PostgresError) {
    try runScript("unlisten \(Query("\(identifier: channel)").text(quotedBy: handle()))")
  }

  /// The notifications that came with earlier answers, oldest first; asks nothing of the server.
  public func takeNotifications() -> [Notification] {
    guard let handle = try? handle() else { return [] }
    var taken: [Notification] = []
    while let entry = PQnotifies(handle) {
      taken.append(
        Notification(
          channel: String(cString: entry.pointee.relname),
          payload: String(cString: entry.pointee.extra), backendPID: entry.pointee.be_pid))
      PQfreemem(entry)
    }
    return taken
  }

  /// Waits until a notification is there, the wake-up is signalled or the time is over.
  ///
  /// The server sends none while a transaction is open.
  ///
  /// - Returns: What came; nothing where the wake-up (which stays signalled) or the time ended
  ///   the wait.
  /// - Throws: An error with `isConnectionLoss` as soon as the socket tells of it.
  public func waitForNotifications(timeout: Duration?, wakeUp: WakeUp? = nil)
    throws(PostgresError) -> [Notification]
  {
    let deadline = Deadline(after: timeout)
    while true {
      // PQconsumeInput reads what is there and does not wait.
      guard PQconsumeInput(try handle()) == 1 else { throw lose() }
      // A record of TLS may hold more than one read takes, which poll(2) does not know.
      if PQsslInUse(try handle()) != 0, PQconsumeInput(try handle()) != 1 { throw lose() }
      let taken = takeNotifications()
      if !taken.isEmpty { return taken }
      if PQstatus(try handle()) == CONNECTION_BAD { throw lose() }
      let ready = try wait(for: POLLIN, wakeUp: wakeUp, deadline: deadline)
      if ready.events == 0, ready.wokenUp || deadline.isOver { return [] }
    }
  }
}

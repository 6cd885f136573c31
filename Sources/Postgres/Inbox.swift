internal import CLibPQ

/// What the server sends without being asked.
final class Inbox {
  private static let limit = 100
  private var notices: [PostgresError] = []
  /// Why the server ended the session, where it said so.
  private(set) var lastFatal: PostgresError?

  /// The connection keeps the inbox for as long as libpq may call back.
  func attach(to handle: OpaquePointer) {
    PQsetNoticeReceiver(
      handle,
      { inbox, result in
        guard let inbox, let result else { return }
        Unmanaged<Inbox>.fromOpaque(inbox).takeUnretainedValue().receive(result)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// The result belongs to libpq, which frees it.
  private func receive(_ result: OpaquePointer) {
    func field(_ code: Character) -> String? {
      PQresultErrorField(result, Int32(code.asciiValue!)).map { String(cString: $0) }
    }
    var notice = PostgresError(
      sqlState: field("C") ?? "01000",
      message: field("M") ?? String(cString: PQresultErrorMessage(result)).trimmed,
      detail: field("D"), hint: field("H"))
    notice.context = field("W")
    if ["FATAL", "PANIC"].contains(field("V")) { lastFatal = notice }
    if notices.count == Self.limit { notices.removeFirst() }
    notices.append(notice)
  }

  func takeNotices() -> [PostgresError] {
    defer { notices = [] }
    return notices
  }
}

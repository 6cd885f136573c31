internal import CLibPQ

/// Asks the server to end what a connection is running, from any thread.
public final class Canceller: @unchecked Sendable {
  // libpq promises that PQcancel is safe in any thread, and nothing changes the handle.
  private let handle: OpaquePointer?

  init(of connection: OpaquePointer) { handle = PQgetCancel(connection) }
  deinit { PQfreeCancel(handle) }

  /// The running statement then fails with SQLSTATE 57014; where none runs, nothing happens.
  ///
  /// Opens a connection of its own to the server and waits for it to be closed again.
  ///
  /// - Throws: 08001 when the server cannot be reached.
  public func cancel() throws(PostgresError) {
    guard let handle else { throw .lost() }
    var buffer = [CChar](repeating: 0, count: 256)
    guard PQcancel(handle, &buffer, Int32(buffer.count)) == 0 else { return }
    let reason = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    throw PostgresError(
      sqlState: "08001", message: "the server could not be asked to cancel",
      detail: reason.trimmed)
  }
}

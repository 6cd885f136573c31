package import Postgres

extension Connection {
  /// Lets the server, too, find out within seconds when this host or the way to it is gone.
  ///
  /// What a session holds (a lane's chunk, the election) is free when the session ends. A server
  /// that is left to itself waits two hours for a peer that vanished while nothing was under way;
  /// and a statement that waits, as a standby's for the election, asks for its peer only when told
  /// to. Local sockets ignore the first four, and servers on other systems than Linux may refuse
  /// the last.
  package func noticeLossOfPeer() throws(PostgresError) { try runScript(Self.settingsOfLiveness) }

  /// The statements for it, where a session has others to make or restore with them.
  static let settingsOfLiveness =
    """
    set tcp_keepalives_idle = 3; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 3; \
    set tcp_user_timeout = '5s';
    do $$ begin
      perform set_config('client_connection_check_interval', '2s', false);
    exception when others then null;
    end $$
    """
}

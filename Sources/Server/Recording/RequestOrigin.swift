/// Where rows to be scored came from.
struct RequestOrigin: Sendable {
  /// What the request is called in its answer and in the log.
  var id = ""
  /// The route's path, parameters in braces.
  var route = ""
  var caller = Caller()
  var arrivedAt = ContinuousClock.now
}

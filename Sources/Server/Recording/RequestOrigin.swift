/// Where rows to be scored came from.
package struct RequestOrigin: Sendable {
  /// What the request is called in its answer and in the log.
  var id = ""
  /// The route's path, parameters in braces.
  var route = ""
  var caller = Caller()
  var arrivedAt = ContinuousClock.now
}

extension RequestOrigin {
  package init(id: String, route: String) {
    self.init(id: id, route: route, caller: Caller())
  }
}

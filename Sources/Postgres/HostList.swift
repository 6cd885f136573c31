internal import CLibPQ

/// Several hosts that a connection may be made to, as libpq reads them from wherever it does: a
/// connection string, the environment, a service file.
///
/// libpq itself goes on to the next host where one refuses, and only in its blocking calls where
/// one is silent.
struct HostList {
  private struct Host {
    var name = ""
    var address = ""
    var port = ""
  }

  private var hosts: [Host]

  /// Nil where there is one host.
  init?(of connection: OpaquePointer) {
    guard let options = PQconninfo(connection) else { return nil }
    defer { PQconninfoFree(options) }
    var lists: [String: [String]] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      let name = String(cString: keyword)
      if ["host", "hostaddr", "port"].contains(name), let value = option.pointee.val {
        lists[name] = String(cString: value).split(separator: ",", omittingEmptySubsequences: false)
          .map { String($0) }
      }
      option += 1
    }
    let names = lists["host"] ?? []
    let addresses = lists["hostaddr"] ?? []
    let ports = lists["port"] ?? []
    hosts = (0..<max(names.count, addresses.count)).map { place in
      Host(
        name: names.indices.contains(place) ? names[place] : "",
        address: addresses.indices.contains(place) ? addresses[place] : "",
        // One port is for all.
        port: ports.count == 1 ? ports[0] : ports.indices.contains(place) ? ports[place] : "")
    }
    if hosts.count < 2 { return nil }
  }

  /// The others than the one that the connection tries now; nil where there is none.
  func without(currentOf connection: OpaquePointer) -> HostList? {
    let name = PQhost(connection).map { String(cString: $0) } ?? ""
    let port = PQport(connection).map { String(cString: $0) } ?? ""
    var rest = self
    rest.hosts.removeAll { host in
      (host.name.isEmpty ? host.address : host.name) == name
        && (host.port.isEmpty ? "5432" : host.port) == port
    }
    return rest.hosts.isEmpty || rest.hosts.count == hosts.count ? nil : rest
  }

  var keywords: [String: String] {
    func joined(_ list: [String]) -> String? {
      list.allSatisfy(\.isEmpty) ? nil : list.joined(separator: ",")
    }
    var keywords: [String: String] = [:]
    keywords["host"] = joined(hosts.map(\.name))
    keywords["hostaddr"] = joined(hosts.map(\.address))
    keywords["port"] = joined(hosts.map(\.port))
    return keywords
  }
}

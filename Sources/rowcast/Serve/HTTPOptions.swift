import ArgumentParser
import Postgres
import Scoring
import Server

/// How the HTTP server listens and what it allows.
struct HTTPOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
  var host = "127.0.0.1"

  @Option(
    help: ArgumentHelp("A certificate and those that lead to its root, as PEM.", valueName: "file"))
  var tlsCertificate: String?

  @Option(help: ArgumentHelp("The certificate's key, as PEM.", valueName: "file"))
  var tlsKey: String?

  @Flag(help: "Speak plain HTTP on other addresses than the loopback's, behind a proxy.")
  var plainHttp = false

  @Flag(help: "Ask callers for no key; on the loopback only.")
  var withoutKeys = false

  @Option(
    help: ArgumentHelp("Threads that score requests. Default: the cores.", valueName: "count"))
  var httpLanes: Int?

  @Option(
    help: ArgumentHelp(
      "Milliseconds that a request may wait for others to be scored with.", valueName: "ms"))
  var longestWait = 0.0

  @Option(
    help: ArgumentHelp(
      "Milliseconds after which a request is not scored any more.", valueName: "ms")
  )
  var deadline = 10_000.0

  @Option(
    help: ArgumentHelp(
      "Requests that wait to be scored at most; more are answered 503 at once.", valueName: "count")
  )
  var maxRequests = 1024

  @Option(
    help: ArgumentHelp(
      "Requests a second that each key may send; twice as many at once.", valueName: "count"))
  var keyRate: Double?

  @Option(
    help: ArgumentHelp(
      "Requests a second that each address may send; twice as many at once.", valueName: "count"))
  var addressRate: Double?

  @Option(help: ArgumentHelp("Megabytes that a request's body may have.", valueName: "megabytes"))
  var maxBody = 32

  @Option(
    help: ArgumentHelp("Megabytes that a model that is pushed may have.", valueName: "megabytes"))
  var maxModel = 256

  @Option(
    help: ArgumentHelp(
      "Megabytes that the rows of a job may have, where a request brings them.",
      valueName: "megabytes"))
  var maxUpload = 1024

  @Option(help: ArgumentHelp("Connections at most.", valueName: "count"))
  var maxConnections = 4096

  @Option(
    help: ArgumentHelp(
      """
      Of the bodies that bring rows to be scored the share, from 0 to 1, whose beginning is logged, without \
      secrets that can be told by their form.
      """, valueName: "share"))
  var logPayloads = 0.0

  @Option(
    help: ArgumentHelp(
      "Load this model at once and keep it; the server is not ready without it. A version is a number or an alias; repeatable.",
      valueName: "model[@version]"))
  var pin: [String] = []

  @OptionGroup var access: AccessOptions

  func validate() throws {
    if (tlsCertificate == nil) != (tlsKey == nil) {
      throw ValidationError("--tls-certificate and --tls-key come together")
    }
    if let httpLanes, !(1...1024).contains(httpLanes) {
      throw ValidationError("--http-lanes must be from 1 to 1024")
    }
    guard (0...1000).contains(longestWait) else {
      throw ValidationError("--longest-wait must be from 0 to 1000")
    }
    guard (1...600_000).contains(deadline) else {
      throw ValidationError("--deadline must be from 1 to 600000")
    }
    guard (1...1_000_000).contains(maxRequests) else {
      throw ValidationError("--max-requests must be from 1 to 1000000")
    }
    guard
      [keyRate, addressRate].allSatisfy({ $0.map { (0.001...1_000_000).contains($0) } ?? true })
    else {
      throw ValidationError("--key-rate and --address-rate must be from 0.001 to 1000000")
    }
    guard (1...1024).contains(maxBody) else {
      throw ValidationError("--max-body must be from 1 to 1024")
    }
    guard (1...1023).contains(maxModel) else {
      throw ValidationError("--max-model must be from 1 to 1023")
    }
    guard (1...1_048_576).contains(maxUpload) else {
      throw ValidationError("--max-upload must be from 1 to 1048576")
    }
    if let model = pin.first(where: { PinnedModel($0) == nil }) {
      throw ValidationError("--pin \"\(model)\" is not a model, nor one with a version")
    }
    guard (1...1_000_000).contains(maxConnections) else {
      throw ValidationError("--max-connections must be from 1 to 1000000")
    }
    guard (0...1).contains(logPayloads) else {
      throw ValidationError("--log-payloads must be from 0 to 1")
    }
  }

  func configuration(
    _ settings: ConnectionSettings, port: Int, modelByteCount: Int
  ) -> HTTPConfiguration {
    var configuration = HTTPConfiguration(
      settings: settings, laneCount: httpLanes ?? Machine.coreCount, modelByteCount: modelByteCount)
    configuration.host = host
    configuration.port = port
    if let tlsCertificate, let tlsKey {
      configuration.tls = .init(certificatePath: tlsCertificate, keyPath: tlsKey)
    }
    configuration.allowsPlainHTTP = plainHttp
    configuration.needsKeys = !withoutKeys
    configuration.longestWait = .milliseconds(longestWait)
    configuration.deadline = .milliseconds(deadline)
    configuration.waitingRequests = maxRequests
    configuration.requestsPerSecond = keyRate
    configuration.addressRequestsPerSecond = addressRate
    configuration.bodyByteCount = maxBody << 20
    configuration.bodiesByteCount = max(256 << 20, maxBody << 20)
    configuration.modelBodyByteCount = maxModel << 20
    configuration.uploadByteCount = maxUpload << 20
    configuration.connectionCount = maxConnections
    configuration.payloadShare = logPayloads
    configuration.pinnedModels = pin.compactMap { PinnedModel($0) }
    access.apply(to: &configuration)
    return configuration
  }

  func url(port: Int) -> String {
    let name = host.contains(":") ? "[\(host)]" : host
    return "\(tlsKey == nil ? "http" : "https")://\(name):\(port)"
  }
}

import ArgumentParser
import Server

/// Whom the HTTP server believes: issuers of tokens, proxies; and how it leads to TLS.
struct AccessOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Keys of an issuer of tokens, as a JSON Web Key Set; its tokens are taken beside keys.",
      valueName: "file"))
  var jwks: String?

  @Option(help: ArgumentHelp("The issuer, as its tokens name it (iss).", valueName: "issuer"))
  var jwtIssuer: String?

  @Option(
    help: ArgumentHelp("What its tokens call this server (aud).", valueName: "audience"))
  var jwtAudience: String?

  @Option(
    help: ArgumentHelp(
      "The claim that names the role of the database whose rights a token has.",
      valueName: "claim"))
  var jwtRoleClaim = "role"

  @Option(
    help: ArgumentHelp(
      "A port on which plain HTTP is answered by a redirection to TLS.", valueName: "port"))
  var redirectPort: Int?

  @Option(
    help: ArgumentHelp(
      "What that redirection calls this server. Default: what each request calls it.",
      valueName: "host[:port]"))
  var publicHost: String?

  @Option(
    help: ArgumentHelp(
      "Addresses of proxies that are believed whom they speak for (X-Forwarded-For, Forwarded); repeatable.",
      valueName: "address[/bits]"))
  var trustedProxy: [String] = []

  func validate() throws {
    guard (jwks == nil) == (jwtIssuer == nil), (jwks == nil) == (jwtAudience == nil) else {
      throw ValidationError("--jwks, --jwt-issuer and --jwt-audience come together")
    }
    if let redirectPort, !(0...65535).contains(redirectPort) {
      throw ValidationError("--redirect-port must be from 0 to 65535")
    }
    if let publicHost, PublicHost(publicHost) == nil {
      throw ValidationError("--public-host \"\(publicHost)\" is not a host")
    }
    if let range = trustedProxy.first(where: { AddressRange($0) == nil }) {
      throw ValidationError("--trusted-proxy \"\(range)\" is not an address, nor a range of them")
    }
  }

  func apply(to configuration: inout HTTPConfiguration) {
    if let jwks, let jwtIssuer, let jwtAudience {
      configuration.tokens = .init(
        jwksPath: jwks, issuer: jwtIssuer, audience: jwtAudience, roleClaim: jwtRoleClaim)
    }
    configuration.redirectPort = redirectPort
    configuration.publicHost = publicHost.flatMap { PublicHost($0) }
    configuration.trustedProxies = trustedProxy.compactMap { AddressRange($0) }
  }
}

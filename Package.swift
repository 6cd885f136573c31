// swift-tools-version: 6.1
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
]

// The program carries the standard library: a machine that runs it needs nothing of Swift, and calls into it need no
// look-up. Foundation's parts are named, since objects know those of the shared one alone.
let whole: [LinkerSetting] = [
  .unsafeFlags(
    [
      "-static-stdlib", "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCShims",
      "-l_FoundationCollections",
    ], .when(platforms: [.linux], configuration: .release))
]

let package = Package(
  name: "rowcast",
  products: [
    .executable(name: "rowcast", targets: ["rowcast"]),
    .library(name: "Inference", targets: ["Inference"]),
  ],
  dependencies: [
    // Command line: the field's standard, generates help and completion.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    // Logging: the interface that every server-side library logs through.
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    // Signals and ordered shutdown, so that no chunk stays claimed.
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    // HTTP: parsing, routing, keep-alive and ordered shutdown. Its traits for configuration files are
    // left out, which nothing here reads.
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0",
      traits: ["FullFoundation"]),
    // Buffers, addresses and event loops, as Hummingbird hands them out.
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    // Parts of requests, as Hummingbird's channels pass them on, and what makes them of NIO's.
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
    // TLS without a system library; the certificate can be renewed while connections are open.
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
    // Header fields and status codes, typed.
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    // SHA-256 and comparisons in constant time, for keys.
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    // Public keys of token issuers and their signatures, over the same swift-crypto: it brings no other.
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: [
    .systemLibrary(
      name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .target(
      name: "CKernels",
      // No fused multiply-add: a score must not depend on the CPU.
      cSettings: [.unsafeFlags(["-O3", "-ffp-contract=off", "-fno-math-errno"])]),
    // oneDNN is opened when a network is first loaded: neither building nor starting needs it.
    // Without its headers (libdnnl-dev) the module says that there is none.
    .target(name: "CDNN", cSettings: [.unsafeFlags(["-O2"])]),
    .systemLibrary(
      name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg62-turbo-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
    // Encoded images to pixels: C, because the libraries end an error by a jump.
    .target(
      name: "CVision", dependencies: ["CJPEG", "CPNG", "CWebP"],
      cSettings: [.unsafeFlags(["-O2"])]),
    .target(
      name: "Inference", dependencies: ["CDNN", "CKernels", "CVision"], swiftSettings: strict),
    .target(name: "Postgres", dependencies: ["CLibPQ"], swiftSettings: strict),
    .executableTarget(name: "EmbedSQLTool", swiftSettings: strict),
    .plugin(name: "EmbedSQL", capability: .buildTool(), dependencies: ["EmbedSQLTool"]),
    .target(
      name: "Schema", dependencies: ["Postgres"], swiftSettings: strict,
      plugins: ["EmbedSQL"]),
    .target(
      name: "Scoring",
      dependencies: [
        "Inference", "Postgres", "Schema",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    .target(
      name: "Server",
      dependencies: [
        "Inference", "Postgres", "Schema", "Scoring",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    .systemLibrary(name: "CMalloc"),
    .executableTarget(
      name: "rowcast",
      dependencies: [
        "CMalloc", "Scoring", "Server", "Inference", "Postgres", "Schema",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ], swiftSettings: strict, linkerSettings: whole),
    .target(
      name: "TestSupport",
      dependencies: ["Postgres", "Schema", .product(name: "Logging", package: "swift-log")],
      path: "Tests/TestSupport", swiftSettings: strict),
    .target(name: "TestRandom", path: "Tests/TestRandom", swiftSettings: strict),
    // Writes models and images without the project's readers of them, and knows those that are kept.
    .target(
      name: "ModelFixtures", dependencies: ["Inference"], path: "Tests/ModelFixtures",
      swiftSettings: strict),
    // The protocol of capture, ticks, chunks and writes, and what explores all its interleavings.
    .target(name: "ProtocolModel", path: "Tests/ProtocolModel", swiftSettings: strict),
    .executableTarget(
      name: "check-protocol", dependencies: ["ProtocolModel"], path: "Tests/ProtocolCheck",
      swiftSettings: strict),
    .testTarget(name: "ProtocolTests", dependencies: ["ProtocolModel"], swiftSettings: strict),
    // What a model must keep to whatever its bytes are; the fuzzers ask for it, and so do tests.
    .target(
      name: "FuzzChecks", dependencies: ["Inference"], path: "Tests/FuzzChecks",
      swiftSettings: strict),
    .testTarget(
      name: "InferenceTests",
      dependencies: ["Inference", "CKernels", "FuzzChecks", "ModelFixtures", "TestRandom"],
      exclude: ["Fixtures"], swiftSettings: strict),
    .testTarget(
      name: "PostgresTests", dependencies: ["Postgres", "TestRandom", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "SchemaTests", dependencies: ["Schema", "Postgres", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ScoringTests",
      dependencies: [
        "Scoring", "Inference", "Postgres", "Schema", "ModelFixtures", "TestRandom", "TestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ServerTests",
      dependencies: [
        "Inference", "Postgres", "Scoring", "Server", "ModelFixtures", "TestRandom", "TestSupport",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: strict),
    // The built product, which is linked by itself, under SIGKILL, SIGSTOP, cut connections and server crashes.
    .testTarget(
      name: "FaultTests",
      dependencies: ["Inference", "Postgres", "Schema", "TestRandom", "TestSupport"],
      exclude: ["Clock"], swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests",
      dependencies: ["ModelFixtures", "Postgres", "TestRandom", "TestSupport"],
      exclude: ["Snapshots"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)

// The fuzzers and all that they link are instrumented; `make fuzz` builds them, and nothing else,
// in a folder of their own.
if Context.environment["ROWCAST_FUZZ"] == "1" {
  let sanitizers = ["-sanitize=fuzzer,address"]
  package.products = []
  package.dependencies = []
  package.targets =
    package.targets.filter {
      [
        "CDNN", "CKernels", "CJPEG", "CPNG", "CWebP", "CVision", "Inference", "FuzzChecks",
        "TestRandom",
      ].contains($0.name)
    } + [
      .target(name: "CLibFuzzer", path: "Tests/Fuzz/CLibFuzzer"),
      .executableTarget(
        name: "fuzz", dependencies: ["FuzzChecks", "TestRandom", "CLibFuzzer"],
        path: "Tests/Fuzz/Sources", swiftSettings: strict,
        linkerSettings: [.unsafeFlags(sanitizers + ["-use-ld=lld"])]),
    ]
  for target in package.targets {
    if target.type == .system { continue }
    if target.name == "CKernels" || target.name == "CVision" {
      target.cSettings?.append(.unsafeFlags(["-g", "-fsanitize=fuzzer-no-link,address"]))
    } else if target.name != "CLibFuzzer" {
      target.swiftSettings?.append(.unsafeFlags(["-g"] + sanitizers))
    }
  }
}

/// What a model's file says of itself, read without loading the model.
public struct ModelOrigin: Sendable, Codable, Equatable {
  /// The program that wrote the file, with its version, where the file tells.
  public var producer: String?
  /// Version of the format, operator sets, objective: whatever the format has.
  public var facts: [Fact] = []
  /// Nodes of the graph by operator, with those of subgraphs; empty where the format has none.
  public var operators: [String: Int] = [:]

  public struct Fact: Sendable, Codable, Equatable {
    public var name: String
    public var value: String
  }

  /// - Throws: `ModelError` where the bytes are not of the format.
  /// - Complexity: Linear in the bytes.
  public init(
    of bytes: [UInt8], format: ModelFormat, limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    switch format {
    case .onnx: try readOnnx(ProtobufReader(bytes, nestingDepth: limits.nestingDepth))
    case .lightgbm: readLightGBM(bytes)
    case .xgboost: try readXGBoost(bytes, limits: limits)
    case .catboost: try readCatBoost(bytes, limits: limits)
    }
  }
}

// MARK: ONNX

extension ModelOrigin {
  /// ModelProto.
  private mutating func readOnnx(_ model: ProtobufReader) throws(ModelError) {
    var reader = model
    var (name, version, ir) = ("", "", Int64(0))
    var opsets: [String] = []
    while let (number, value) = try reader.next() {
      switch number {
      case 1: ir = try reader.int64(value)
      case 2: name = try reader.string(value)
      case 3: version = try reader.string(value)
      case 7: try countOperators(reader.message(value))
      case 8: opsets.append(try Self.opset(reader.message(value)))
      default: break
      }
    }
    producer = name.isEmpty ? nil : version.isEmpty ? name : "\(name) \(version)"
    facts = [
      Fact(name: "IR version", value: "\(ir)"),
      Fact(name: "operator sets", value: opsets.joined(separator: ", ")),
    ]
  }

  private static func opset(_ message: ProtobufReader) throws(ModelError) -> String {
    var reader = message
    var (domain, version) = ("", Int64(0))
    while let (number, value) = try reader.next() {
      switch number {
      case 1: domain = try reader.string(value)
      case 2: version = try reader.int64(value)
      default: break
      }
    }
    return "\(domain.isEmpty ? "ai.onnx" : domain) \(version)"
  }

  /// GraphProto: its nodes, and those of graphs in their attributes.
  private mutating func countOperators(_ graph: ProtobufReader) throws(ModelError) {
    var reader = graph
    while let (number, value) = try reader.next() {
      guard number == 1 else { continue }
      var node = try reader.message(value)
      var (type, domain) = ("", "")
      while let (number, value) = try node.next() {
        switch number {
        case 4: type = try node.string(value)
        case 5: try countSubgraphs(node.message(value))
        case 7: domain = try node.string(value)
        default: break
        }
      }
      let isStandard = domain.isEmpty || domain == "ai.onnx"
      operators[isStandard ? type : "\(domain).\(type)", default: 0] += 1
    }
  }

  /// AttributeProto: `g` is a graph, `graphs` a list of them.
  private mutating func countSubgraphs(_ attribute: ProtobufReader) throws(ModelError) {
    var reader = attribute
    while let (number, value) = try reader.next() {
      if number == 6 || number == 11 { try countOperators(reader.message(value)) }
    }
  }
}

// MARK: LightGBM

extension ModelOrigin {
  /// The header's `key=value` lines; the file does not name the release that wrote it.
  private mutating func readLightGBM(_ bytes: [UInt8]) {
    producer = "LightGBM"
    for line in bytes.prefix(1 << 16).split(separator: UInt8(ascii: "\n")) {
      if line.starts(with: "Tree=".utf8) { break }
      let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1)
      guard parts.count == 2 else { continue }
      let name: String? =
        switch String(decoding: parts[0], as: UTF8.self) {
        case "version": "format version"
        case "objective": "objective"
        case "num_class": "classes"
        case "num_tree_per_iteration": "trees an iteration"
        default: nil
        }
      guard let name else { continue }
      facts.append(Fact(name: name, value: String(decoding: parts[1], as: UTF8.self)))
    }
    if bytes.starts(with: "tree\naverage_output".utf8)
      || bytes.prefix(1 << 16).split(separator: UInt8(ascii: "\n"))
        .contains(where: { $0.elementsEqual("average_output".utf8) })
    {
      facts.append(Fact(name: "output", value: "average of the iterations"))
    }
  }
}

// MARK: XGBoost

extension ModelOrigin {
  private mutating func readXGBoost(
    _ bytes: [UInt8], limits: ModelLimits
  ) throws(ModelError) {
    let document = try XGBoostImporter.document(bytes, limits: limits)
    producer = document.producer.map { "XGBoost \($0)" } ?? "XGBoost"
    facts = [
      Fact(name: "booster", value: document.booster),
      Fact(name: "objective", value: document.objective),
    ]
  }
}

// MARK: CatBoost

extension ModelOrigin {
  private mutating func readCatBoost(
    _ bytes: [UInt8], limits: ModelLimits
  ) throws(ModelError) {
    let document = try CatBoostImporter.document(bytes, limits: limits)
    producer = document.release.map { "CatBoost \($0)" } ?? "CatBoost"
    facts = [Fact(name: "loss", value: document.loss ?? "of the trainer's own")]
  }
}

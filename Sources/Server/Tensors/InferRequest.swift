internal import HTTPTypes
internal import Inference

/// An inference request of the Open Inference Protocol.
struct InferRequest: Sendable {
  struct Output: Sendable {
    var name: String
    var isBinary: Bool?
    /// How many of the highest classes are wanted, as text; nil for the values.
    var classes: Int?
  }

  var id: String?
  var inputs: [Tensor] = []
  /// In the order wanted; nil for all.
  var outputs: [Output]?
  /// What outputs are that do not say it themselves.
  var isBinary = false
  /// How long the caller waits.
  var timeout: Duration?
  /// Where the data of the inputs are in the JSON; empty where some of them are not.
  private(set) var lists: [Range<Int>] = []

  /// A tensor of which the data come behind the JSON, or before its type is known.
  private struct Declared {
    var name: String?
    var type: TensorType?
    var shape: [Int]?
    var data: JSONReader?
    var binaryByteCount: Int?
  }

  /// - Parameter headerByteCount: Bytes of JSON before the binary data; nil where all is JSON.
  static func read(_ body: [UInt8], headerByteCount: Int?) throws(Problem) -> InferRequest {
    if let headerByteCount, headerByteCount > body.count || headerByteCount < 0 {
      throw .badRequest(
        "the header of the tensors has \(headerByteCount) bytes, the body \(body.count)")
    }
    let isWhole = headerByteCount == nil || headerByteCount == body.count
    let header = isWhole ? body : Array(body[..<headerByteCount!])
    var reader = JSONReader(header, limits: ModelLimits())
    var request = InferRequest()
    var declared: [Declared] = []
    do throws(ModelError) {
      try reader.object { reader, key throws(ModelError) in
        switch key {
        case "id": request.id = try reader.string()
        case "inputs" where !declared.isEmpty, "outputs" where request.outputs != nil:
          throw ModelError(.mismatch, "the body has \"\(key)\" twice")
        case "inputs":
          try reader.array { reader, _ throws(ModelError) in
            declared.append(try readInput(&reader))
          }
        case "outputs":
          var outputs: [Output] = []
          try reader.array { reader, _ throws(ModelError) in
            outputs.append(try readOutput(&reader))
          }
          request.outputs = outputs.isEmpty ? nil : outputs
        case "parameters": try request.readParameters(&reader)
        default: try reader.skip()
        }
      }
      try reader.end()
    } catch {
      throw Problem(error)
    }
    try request.take(declared, from: body[header.count...])
    return request
  }

  // MARK: Members

  private mutating func readParameters(_ reader: inout JSONReader) throws(ModelError) {
    var (isBinary, timeout): (Bool?, Int?)
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "binary_data_output": isBinary = try reader.truth()
      // Microseconds, as Triton has it; a string in some clients.
      case "timeout" where try reader.nextKind() == .string: try reader.skip()
      case "timeout": timeout = try reader.wholeNumber()
      default: try reader.skip()
      }
    }
    self.isBinary = isBinary ?? self.isBinary
    if let timeout, timeout > 0 { self.timeout = .microseconds(timeout) }
  }

  private static func readInput(_ reader: inout JSONReader) throws(ModelError) -> Declared {
    var input = Declared()
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "name": input.name = try reader.string()
      case "datatype":
        let name = try reader.string()
        guard let type = TensorType(rawValue: name) else {
          throw ModelError(
            .mismatch, "datatype \"\(name.excerpt(20))\" is not one of the protocol's",
            hint: "Use \(TensorType.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        input.type = type
      case "shape":
        var shape: [Int] = []
        try reader.array { reader, _ throws(ModelError) in shape.append(try reader.wholeNumber()) }
        input.shape = shape
      case "data":
        input.data = reader
        try reader.skip()
      case "parameters":
        try reader.object { reader, key throws(ModelError) in
          if key == "binary_data_size" {
            input.binaryByteCount = try reader.wholeNumber()
          } else {
            try reader.skip()
          }
        }
      default: try reader.skip()
      }
    }
    return input
  }

  private static func readOutput(_ reader: inout JSONReader) throws(ModelError) -> Output {
    var output = Output(name: "")
    try reader.object { reader, key throws(ModelError) in
      switch key {
      case "name": output.name = try reader.string()
      case "parameters":
        try reader.object { reader, key throws(ModelError) in
          switch key {
          case "binary_data": output.isBinary = try reader.truth()
          case "classification": output.classes = try reader.wholeNumber()
          default: try reader.skip()
          }
        }
      default: try reader.skip()
      }
    }
    return output
  }

  /// Reads the data of what was declared.
  private mutating func take(
    _ declared: [Declared], from binary: ArraySlice<UInt8>
  ) throws(Problem) {
    guard !declared.isEmpty else { throw .badRequest("the request has no \"inputs\"") }
    var rest = binary
    for input in declared {
      guard let name = input.name else { throw .badRequest("an input has no \"name\"") }
      guard let type = input.type else {
        throw .badRequest("input \"\(name)\" has no \"datatype\"")
      }
      guard let shape = input.shape, let count = Tensor.elementCount(of: shape) else {
        throw .badRequest("input \"\(name)\" has no \"shape\" of sizes")
      }
      let elements: TensorElements
      if let byteCount = input.binaryByteCount {
        guard (0...rest.count).contains(byteCount) else {
          throw .badRequest(
            "input \"\(name)\" wants \(byteCount) bytes of binary data, \(rest.count) are left")
        }
        elements = try .read(rest.prefix(byteCount), as: type, count: count, named: name)
        rest = rest.dropFirst(byteCount)
      } else if var reader = input.data {
        let start = reader.offset
        elements = try .read(&reader, as: type, named: name)
        lists.append(start..<reader.offset)
      } else {
        throw .badRequest("input \"\(name)\" has no data")
      }
      guard elements.count == count else {
        throw .badRequest(
          "input \"\(name)\" has \(elements.count) elements for the shape \(shape)")
      }
      inputs.append(Tensor(name: name, type: type, shape: shape, elements: elements))
    }
    if lists.count < inputs.count { lists = [] }
    guard rest.isEmpty else {
      throw .badRequest("\(rest.count) bytes follow the binary data of the last input")
    }
  }
}

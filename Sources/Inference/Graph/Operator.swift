/// One node of a graph, checked against its inputs and ready to run on any number of rows.
///
/// An operator is made once, at load, by the factory that `OperatorRegistry` has for its domain
/// and type: from the node's attributes and from what is known of its inputs. Whatever cannot
/// work is refused there, with the node's name, so that `run` never fails but for single rows.
///
/// Rows stay apart: an element of an output that belongs to a row may depend on that row's
/// elements and on constants only.
protocol Operator: Sendable {
  /// Type and shape of each output.
  var outputs: [ValueInfo] { get }

  /// True where output 0 has the elements of input 0 in the same order, so that both can share
  /// memory; `run` is not called then.
  var isView: Bool { get }

  /// The input whose memory output 0 takes over, where nothing reads that input afterwards and the
  /// operator works in place; nil for all others.
  var overwrites: Int? { get }

  /// The operator as it is run again and again with the same arguments; itself where there is
  /// nothing to prepare.
  func prepared(for call: Call) -> any Operator

  /// Bytes of weights that the operator holds in a form of its own.
  var constantByteCount: Int { get }

  /// Scratch memory that `run` wants for `rows` rows, from `Call.scratch`.
  func scratchByteCount(rows: Int) -> Int

  /// Computes the outputs. Runs on many threads at once, each with a call of its own.
  func run(_ call: Call)

  /// Which elements of a row may be missing (NaN) in an input, given which may be in the
  /// outputs: true where the operator has a rule for it, or passes it on to where it may be.
  ///
  /// - Parameters:
  ///   - outputs: For each output a flag an element of a row.
  /// - Returns: A flag for each of the `count` elements of a row of the input.
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool]

  /// Which elements of a row of an input can make a difference, given which do in the outputs.
  ///
  /// - Parameters:
  ///   - outputs: For each output a flag an element of a row.
  /// - Returns: A flag for each of the `count` elements of a row of the input.
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool]
}

extension Operator {
  var isView: Bool { false }
  var overwrites: Int? { nil }
  var constantByteCount: Int { 0 }
  func prepared(for call: Call) -> any Operator { self }
  func scratchByteCount(rows: Int) -> Int { 0 }
  func mayBeMissing(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: false, count: count)
  }
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    Array(repeating: true, count: count)
  }
}

/// An operator whose outputs have an element of an input each, or one that is computed of it alone;
/// nothing but where they go decides which may be missing.
protocol PassesElements: Operator {}

extension PassesElements {
  /// An element is read where an output that is has it: where it might not be missing if those
  /// outputs could not be.
  func readElements(input: Int, count: Int, outputs: [[Bool]]) -> [Bool] {
    mayBeMissing(input: input, count: count, outputs: outputs.map { $0.map { !$0 } }).map { !$0 }
  }
}

/// An operator that may read rows of different lengths.
protocol ReadsRaggedRows: Operator {}

/// The arguments of one run of an operator, over some rows.
struct Call {
  let rowCount: Int
  /// In the node's order; nil for an optional input that is absent.
  let inputs: [TensorView?]
  /// In the node's order, as many as the operator has.
  let outputs: [TensorView]
  /// As much as the operator's `scratchByteCount` asks for, aligned to 64 bytes; not cleared.
  let scratch: UnsafeMutableRawPointer
  let failures: RowFailures
  /// Threads that the operator may use.
  var threads = 1

  /// An input that the operator's factory found to be there.
  func input(_ index: Int) -> TensorView { inputs[index]! }
  func output(_ index: Int) -> TensorView { outputs[index] }
}

/// Rows of the block at hand that cannot be scored; the first reason of a row counts.
final class RowFailures {
  private(set) var reasons: [Int: (code: Predictions.Failure.Code, reason: String)] = [:]

  func add(row: Int, _ code: Predictions.Failure.Code, _ reason: @autoclosure () -> String) {
    if reasons[row] == nil { reasons[row] = (code, reason()) }
  }

  func removeAll() { reasons.removeAll(keepingCapacity: true) }
}

/// Makes an operator from a node.
typealias OperatorFactory = @Sendable (Node) throws(ModelError) -> any Operator

/// The operators that the engine has, by domain ("" is ai.onnx) and type.
enum OperatorRegistry {
  static let factories: [String: [String: OperatorFactory]] = [
    "": tensorOperators,
    "ai.onnx.ml": machineLearningOperators,
    "com.microsoft": contributedOperators,
  ]

  /// Operators of ai.onnx that take elements as they are, or convert them themselves.
  static let untypedOperators: Set<String> = Set(movementOperators.keys)
    .union(["Attention", "BitCast", "Cast", "CastLike", "Identity", "Where"])
    .union(["DequantizeLinear", "ImageDecoder", "LinearAttention", "QuantizeLinear"])

  /// True where the engine has an operator of the node's name, with a plan or without.
  static func has(_ node: OnnxNode) -> Bool {
    factories[node.domain]?[node.type] != nil
      || dynamicFactories[node.domain]?[node.type] != nil
  }

  static func make(_ node: Node) throws(ModelError) -> any Operator {
    guard let factory = factories[node.domain]?[node.type] else {
      throw notSupported(node)
    }
    if node.domain.isEmpty, !untypedOperators.contains(node.type) {
      return try ReducedPrecision.make(node, factory)
    }
    return try factory(node)
  }
}

internal import CDNN

/// A primitive of oneDNN, shared by all threads that run it.
final class Primitive: @unchecked Sendable {
  let handle: OpaquePointer

  /// - Returns: nil where oneDNN has no fast one.
  init?(_ handle: OpaquePointer?) {
    guard let handle else { return nil }
    self.handle = handle
  }

  deinit { dn_release(handle) }

  /// Bytes that packed weights take.
  var weightByteCount: Int { dn_weight_bytes(handle) }

  /// The weights in the primitive's own form; nil where it has none.
  ///
  /// - Parameter strides: Elements between neighbours along each axis of `dims`.
  func packed(
    _ weights: UnsafePointer<Float>, dims: [Int], strides: [Int]
  ) -> TensorBuffer? {
    let buffer = TensorBuffer(.float32, capacity: (weightByteCount + 3) / 4)
    let done = dn_pack_weights(
      handle, weights, Int32(dims.count), dims.map(Int64.init), strides.map(Int64.init),
      buffer.base.assumingMemoryBound(to: Float.self))
    return done != 0 ? buffer : nil
  }
}

/// A primitive with its arguments, as one frame of one thread runs it.
///
/// Where oneDNN cannot make or run it, which it could at load, the rows at hand are failures.
final class BoundPrimitive: Operator, @unchecked Sendable {
  let outputs: [ValueInfo]
  private let primitive: Primitive?
  private let call: OpaquePointer?
  /// Memory that the arguments are in.
  private let kept: [TensorBuffer]

  init(
    _ primitive: Primitive?, outputs: [ValueInfo], source: UnsafePointer<Float>,
    weights: UnsafePointer<Float>? = nil, bias: UnsafePointer<Float>? = nil,
    target: UnsafeMutablePointer<Float>, keeping kept: [TensorBuffer] = []
  ) {
    (self.primitive, self.outputs, self.kept) = (primitive, outputs, kept)
    call = primitive.flatMap { dn_bind($0.handle, source, weights, bias, target) }
  }

  deinit { dn_unbind(call) }

  func run(_ call: Call) {
    if let own = self.call, dn_run(own) != 0 { return }
    for row in 0..<call.rowCount {
      call.failures.add(row: row, .wrongType, "a layer cannot be computed for want of memory")
    }
  }
}

/// Where the elements of a value [images, channels, ...space] lie.
enum TensorLayout: Sendable, Equatable {
  /// As ONNX has them.
  case plain
  /// Blocks of as many channels as a register holds, innermost; channels are a multiple of that.
  case blocks

  var code: Int32 { Int32(self == .plain ? DN_PLAIN : DN_BLOCKS) }
}

extension dn_tensor {
  init(_ dims: [Int], _ layout: TensorLayout = .plain) {
    self.init()
    rank = Int32(dims.count)
    withUnsafeMutableBytes(of: &self.dims) { bytes in
      let sizes = bytes.assumingMemoryBound(to: Int64.self)
      for (axis, size) in dims.enumerated() where axis < sizes.count { sizes[axis] = Int64(size) }
    }
    self.layout = layout.code
  }
}

/// Writes a list into an array of C's, which Swift has as a tuple.
func fill<T>(_ tuple: inout T, _ list: [Int]) {
  withUnsafeMutableBytes(of: &tuple) { bytes in
    let places = bytes.assumingMemoryBound(to: Int64.self)
    for (index, value) in list.enumerated() where index < places.count {
      places[index] = Int64(value)
    }
  }
}

/// What a layer does after its products, in order.
enum LayerStage: Sendable, Equatable {
  case function(Activation)
  /// Adds another value of the same shape, whose memory the result takes over.
  case sum
}

extension [LayerStage] {
  var postOps: [dn_post_op] {
    flatMap { stage in
      switch stage {
      case .function(let activation): activation.postOps
      case .sum: [dn_post_op(kind: Int32(DN_SUM), alpha: 0, beta: 0)]
      }
    }
  }

  /// Writes the steps into a specification; false where they are too many.
  func write<T>(_ count: inout Int32, _ ops: inout T) -> Bool {
    let list = postOps
    guard list.count <= Int(DN_MAX_POST_OPS) else { return false }
    count = Int32(list.count)
    Swift.withUnsafeMutableBytes(of: &ops) { bytes in
      let places = bytes.assumingMemoryBound(to: dn_post_op.self)
      for (index, op) in list.enumerated() { places[index] = op }
    }
    return true
  }
}

/// A layer of oneDNN's that may take on what follows it.
protocol NetworkLayer: Operator {
  /// The axis of the output that biases belong to.
  var channelAxis: Int { get }
  /// The layer with more after it: each output channel times a factor plus a shift, then stages.
  ///
  /// - Returns: nil where oneDNN has no such form.
  func extended(
    factors: [Float]?, shifts: [Float]?, stages: [LayerStage]
  ) -> (any NetworkLayer)?
  var stages: [LayerStage] { get }
  /// How the inputs and the output lie in memory.
  var sourceLayout: TensorLayout { get }
  var targetLayout: TensorLayout { get }
}

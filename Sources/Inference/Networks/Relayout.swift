internal import CDNN

/// A copy of a value into another layout.
struct Relayout: Operator {
  let outputs: [ValueInfo]
  private let from: TensorLayout
  private let to: TensorLayout

  init(_ info: ValueInfo, from: TensorLayout, to: TensorLayout) {
    outputs = [ValueInfo(info.type, info.shape)]
    (self.from, self.to) = (from, to)
  }

  func prepared(for call: Call) -> any Operator {
    let dims = call.input(0).dims
    var (source, target) = (dn_tensor(dims, from), dn_tensor(dims, to))
    return BoundPrimitive(
      Primitive(dn_reorder(&source, &target)), outputs: outputs, source: call.input(0).floats,
      target: call.output(0).floats)
  }

  func run(_ call: Call) { prepared(for: call).run(call) }
}

/// A function of each element, whatever the layout.
struct MappedFunction: Operator {
  let outputs: [ValueInfo]
  let activation: Activation

  /// - Returns: nil where oneDNN takes several steps for it.
  init?(_ info: ValueInfo, _ activation: Activation) {
    guard activation.postOps.count == 1, info.type == .float32 else { return nil }
    outputs = [ValueInfo(info.type, info.shape)]
    self.activation = activation
  }

  func prepared(for call: Call) -> any Operator {
    var op = activation.postOps[0]
    return BoundPrimitive(
      Primitive(dn_function(Int64(call.input(0).count), &op)), outputs: outputs,
      source: call.input(0).floats, target: call.output(0).floats)
  }

  func run(_ call: Call) { prepared(for: call).run(call) }
}

/// A pool over blocks of channels.
struct PackedPooling: Operator {
  let outputs: [ValueInfo]
  private let window: Window
  private let isMax: Bool
  private let countsPadding: Bool

  /// - Parameter info: What the pool gives; a global one may drop the axes of space.
  /// - Returns: nil where oneDNN has none.
  init?(_ info: ValueInfo, window: Window, isMax: Bool, countsPadding: Bool, channels: Int) {
    // What rounding up adds counts for oneDNN, and for ONNX it does not.
    let roundsUp = zip(window.usedEnd, window.end).contains { $0 > $1 }
    guard info.type == .float32, !(roundsUp && countsPadding),
      zip(window.usedEnd, window.kernel).allSatisfy({ $0 < $1 })
    else { return nil }
    outputs = [ValueInfo(info.type, info.shape)]
    (self.window, self.isMax, self.countsPadding) = (window, isMax, countsPadding)
    guard primitive(rows: 1, channels: channels) != nil else { return nil }
  }

  private func primitive(rows: Int, channels: Int) -> Primitive? {
    var spec = dn_pooling_spec()
    spec.source = dn_tensor([rows, channels] + window.input, .blocks)
    spec.target = dn_tensor([rows, channels] + window.output, .blocks)
    (spec.is_max, spec.counts_padding) = (isMax ? 1 : 0, countsPadding ? 1 : 0)
    fill(&spec.kernel, window.kernel)
    fill(&spec.strides, window.strides)
    fill(&spec.dilations, window.dilations)
    fill(&spec.pads_begin, window.begin)
    fill(&spec.pads_end, window.usedEnd)
    return Primitive(dn_pooling(&spec))
  }

  func prepared(for call: Call) -> any Operator {
    let input = call.input(0)
    return BoundPrimitive(
      primitive(rows: input.dims[0], channels: input.dims[1]), outputs: outputs,
      source: input.floats, target: call.output(0).floats)
  }

  func run(_ call: Call) { prepared(for: call).run(call) }
}

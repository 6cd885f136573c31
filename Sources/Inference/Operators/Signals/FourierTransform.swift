/// DFT: the spectrum of each line along an axis, and back.
///
/// Numbers are real, or pairs of a real and an imaginary part along the last axis.
struct FourierTransform: Operator {
  let outputs: [ValueInfo]
  private let axis: Int
  private let isInverse: Bool
  private let isOneSided: Bool
  private let plan: SpectrumPlan

  /// A transform may not be longer: it takes some times as much memory.
  static let mostLength = 1 << 20

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(1...3)
    let info = try node.input(0, .float32, .float64)
    let dims = info.shape.dims
    guard dims.count >= 2, let parts = dims.last, parts == 1 || parts == 2,
      info.shape.rowAxis != dims.count - 1
    else { throw node.error(.malformed, "input of shape \(info.shape) is no signal") }
    var place = node.opset < 20 ? try node.int("axis", default: 1) : -2
    if node.opset >= 20, let given = try node.constantInts(input: 2) {
      guard let first = given.first, given.count == 1 else {
        throw node.error(.malformed, "\(given.count) axes")
      }
      place = first
    }
    axis = try node.axis(place, rank: dims.count)
    guard axis < dims.count - 1, axis != info.shape.rowAxis else {
      throw node.error(.unsupported, "axis \(axis) of \(info.shape) is no axis of a signal")
    }
    isInverse = try node.int("inverse", default: 0) != 0
    isOneSided = try node.int("onesided", default: 0) != 0
    guard parts == 1 || isInverse || !isOneSided else {
      throw node.error(.malformed, "one side of the spectrum of complex numbers")
    }
    var length = isInverse && isOneSided ? 2 * (dims[axis] - 1) : dims[axis]
    if let given = try node.constantInts(input: 1) {
      guard let first = given.first, given.count == 1 else {
        throw node.error(.malformed, "\(given.count) lengths")
      }
      length = first
    }
    guard length > 0, length <= Self.mostLength else {
      throw node.error(
        length > 0 ? .tooLarge : .malformed, "a transform of \(length) elements")
    }
    plan = SpectrumPlan(length: length)
    var sizes = dims
    sizes[axis] = isOneSided && !isInverse ? length / 2 + 1 : length
    sizes[sizes.count - 1] = isInverse && isOneSided ? 1 : 2
    outputs = [try node.output(info.type, Shape(sizes, rowAxis: info.shape.rowAxis))]
    try node.spend(outputs[0].shape.elementCount, 64)
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let rank = input.dims.count
    let inner = input.dims[(axis + 1)..<(rank - 1)].reduce(1, *)
    let outer = input.dims[..<axis].reduce(1, *)
    let (parts, size) = (input.dims[rank - 1], input.dims[axis])
    let (made, count) = (out.dims[rank - 1], out.dims[axis])
    var line = Array(repeating: (0.0, 0.0), count: plan.length)
    for first in 0..<outer {
      for second in 0..<inner {
        for k in 0..<plan.length {
          // Of one side the rest is its mirror image.
          let isMirrored = isInverse && isOneSided && k > plan.length / 2
          let own = isMirrored ? plan.length - k : k
          guard own < size else {
            line[k] = (0, 0)
            continue
          }
          let place = ((first * size + own) * inner + second) * parts
          line[k] = (input.double(place), parts == 2 ? input.double(place + 1) : 0)
          if isMirrored { line[k].1 = -line[k].1 }
        }
        if isInverse, isOneSided {
          // They are real.
          line[0].1 = 0
          if plan.length % 2 == 0 { line[plan.length / 2].1 = 0 }
        }
        plan.transform(&line, isInverse: isInverse)
        for k in 0..<count {
          let place = ((first * count + k) * inner + second) * made
          out.set(place, line[k].0)
          if made == 2 { out.set(place + 1, line[k].1) }
        }
      }
    }
  }
}

/// STFT: the spectrum of each frame of a signal, times a window.
struct ShortFourierTransform: Operator {
  let outputs: [ValueInfo]
  private let step: Int
  private let length: Int
  private let frames: Int
  private let bins: Int
  private let hasWindow: Bool
  private let plan: SpectrumPlan

  init(_ node: Node) throws(ModelError) {
    try node.checkInputs(2...4)
    let info = try node.input(0, .float32, .float64)
    let shape = info.shape
    guard shape.rank == 3, shape.dims[2] == 1 || shape.dims[2] == 2,
      shape.rowAxis == nil || shape.rowAxis == 0
    else { throw node.error(.malformed, "input of shape \(shape) is no signal") }
    func number(_ index: Int) throws(ModelError) -> Int? {
      guard let list = try node.constantInts(input: index) else { return nil }
      guard list.count == 1 else { throw node.error(.malformed, "input \(index) is no number") }
      return list[0]
    }
    guard let step = try number(1), step > 0 else {
      throw node.error(.malformed, "frames that are no step apart")
    }
    self.step = step
    let window = node.optionalInput(2)
    length = try number(3) ?? window?.shape.dims.first ?? shape.dims[1]
    guard length > 0, length <= shape.dims[1], length <= FourierTransform.mostLength,
      window == nil || window?.shape == Shape([length]) && window?.type == info.type
    else {
      throw node.error(.malformed, "frames of \(length) elements of a signal of \(shape.dims[1])")
    }
    hasWindow = window != nil
    let isOneSided = try node.int("onesided", default: 1) != 0
    guard shape.dims[2] == 1 || !isOneSided else {
      throw node.error(.malformed, "one side of the spectrum of complex numbers")
    }
    frames = 1 + (shape.dims[1] - length) / step
    bins = isOneSided ? length / 2 + 1 : length
    plan = SpectrumPlan(length: length)
    outputs = [
      try node.output(
        info.type, Shape([shape.dims[0], frames, bins, 2], rowAxis: shape.rowAxis))
    ]
    try node.spend(outputs[0].shape.elementCount, 64)
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let (size, parts) = (input.dims[1], input.dims[2])
    var line = Array(repeating: (0.0, 0.0), count: length)
    for row in 0..<input.dims[0] {
      for frame in 0..<frames {
        for k in 0..<length {
          let place = (row * size + frame * step + k) * parts
          let factor = hasWindow ? call.input(2).double(k) : 1
          line[k] = (
            input.double(place) * factor, parts == 2 ? input.double(place + 1) * factor : 0
          )
        }
        plan.transform(&line)
        for k in 0..<bins {
          let place = ((row * frames + frame) * bins + k) * 2
          out.set(place, line[k].0)
          out.set(place + 1, line[k].1)
        }
      }
    }
  }
}

internal import CKernels

/// A window that moves over the axes of space of a tensor [images, channels, ...space].
struct Window: Sendable, Equatable {
  var input: [Int]
  var output: [Int]
  var kernel: [Int]
  var strides: [Int]
  var dilations: [Int]
  var begin: [Int]
  var end: [Int]

  var rank: Int { input.count }
  /// Elements of the kernel.
  var tapCount: Int { kernel.reduce(1, *) }
  var inputCount: Int { input.reduce(1, *) }
  var outputCount: Int { output.reduce(1, *) }

  /// As the kernels take it: three axes.
  var kernelWindow: ck_window {
    func triple(_ list: [Int], filling value: Int) -> (Int64, Int64, Int64) {
      let all = Array(repeating: value, count: max(3 - list.count, 0)) + list
      return (Int64(all[0]), Int64(all[1]), Int64(all[2]))
    }
    return ck_window(
      in: triple(input, filling: 1), out: triple(output, filling: 1),
      kernel: triple(kernel, filling: 1), stride: triple(strides, filling: 1),
      dilation: triple(dilations, filling: 1), pad: triple(begin, filling: 0))
  }

  /// Whether the window takes in the whole image at once.
  var isGlobal: Bool {
    kernel == input && (begin + end).allSatisfy { $0 == 0 } && outputCount == 1
  }
}

extension Node {
  /// The axes of space of an input [images, channels, ...space], whose rows are images.
  func space(of info: ValueInfo) throws(ModelError) -> [Int] {
    guard info.shape.rank >= 3, info.shape.rank <= 5 else {
      throw error(.unsupported, "input of shape \(info.shape) has not one to three axes of space")
    }
    guard info.shape.rowAxis == nil || info.shape.rowAxis == 0 else {
      throw error(.unsupported, "rows are not the first axis of \(info.shape)")
    }
    return Array(info.shape.dims[2...])
  }

  /// A list of an attribute with a positive number for each axis of space.
  func sizes(_ name: String, rank: Int) throws(ModelError) -> [Int] {
    let list = try ints(name) ?? Array(repeating: 1, count: rank)
    guard list.count == rank, list.allSatisfy({ (1...(1 << 24)).contains($0) }) else {
      throw error(.malformed, "\(name) \(list) for \(rank) axes of space")
    }
    return list
  }

  /// The window that an attribute-laden node moves over `space`: a convolution's or a pool's.
  ///
  /// - Parameter isRoundedUp: Whether a last window may begin inside and end beyond the padding.
  func window(
    over space: [Int], kernel: [Int], isRoundedUp: Bool = false
  ) throws(ModelError) -> Window {
    let rank = space.count
    guard kernel.count == rank, kernel.allSatisfy({ (1...(1 << 24)).contains($0) }) else {
      throw error(.malformed, "a kernel of shape \(kernel) for \(rank) axes of space")
    }
    let strides = try sizes("strides", rank: rank)
    let dilations = try sizes("dilations", rank: rank)
    var (begin, end) = try pads(rank: rank)
    let automatic = try string("auto_pad", default: "NOTSET")
    var output: [Int] = []
    for axis in 0..<rank {
      let extent = (kernel[axis] - 1) * dilations[axis] + 1
      switch automatic {
      case "NOTSET": break
      case "VALID": (begin[axis], end[axis]) = (0, 0)
      case "SAME_UPPER", "SAME_LOWER":
        let count = (space[axis] + strides[axis] - 1) / strides[axis]
        let total = max((count - 1) * strides[axis] + extent - space[axis], 0)
        begin[axis] = automatic == "SAME_LOWER" ? (total + 1) / 2 : total / 2
        end[axis] = total - begin[axis]
      default: throw error(.malformed, "auto_pad \"\(automatic)\" is not known")
      }
      let room = space[axis] + begin[axis] + end[axis] - extent
      guard room >= 0 else {
        throw error(
          .malformed, "a kernel of shape \(kernel) does not fit an image of shape \(space)")
      }
      var count = room / strides[axis] + 1
      if isRoundedUp, automatic == "NOTSET", room % strides[axis] != 0,
        count * strides[axis] < space[axis] + begin[axis]
      {
        count += 1
      }
      output.append(count)
    }
    return Window(
      input: space, output: output, kernel: kernel, strides: strides, dilations: dilations,
      begin: begin, end: end)
  }

  /// `pads`: those before each axis, then those after.
  func pads(rank: Int) throws(ModelError) -> (begin: [Int], end: [Int]) {
    let list = try ints("pads") ?? Array(repeating: 0, count: 2 * rank)
    guard list.count == 2 * rank, list.allSatisfy({ (0...(1 << 24)).contains($0) }) else {
      throw error(.malformed, "pads \(list) for \(rank) axes of space")
    }
    return (Array(list[..<rank]), Array(list[rank...]))
  }
}

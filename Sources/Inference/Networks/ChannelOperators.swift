internal import CDNN
internal import CKernels

/// A value in blocks of channels, each channel times a factor plus a shift.
struct ChannelAffine: Operator {
  let outputs: [ValueInfo]
  private let factors: TensorBuffer
  private let shifts: TensorBuffer
  private let channels: Int
  private let block: Int

  init(_ info: ValueInfo, factors: [Double], shifts: [Double], block: Int) {
    outputs = [ValueInfo(info.type, info.shape)]
    channels = factors.count
    self.block = block
    self.factors = Tensor(factors.map { Float($0) }).buffer
    self.shifts = Tensor(shifts.map { Float($0) }).buffer
  }

  func run(_ call: Call) {
    let (input, out) = (call.input(0), call.output(0))
    let blocks = channels / block
    let space = input.count / max(input.dims[0] * channels, 1)
    let (from, to) = (input.floats, out.floats)
    let factor = factors.base.assumingMemoryBound(to: Float.self)
    let shift = shifts.base.assumingMemoryBound(to: Float.self)
    parallel(input.dims[0] * blocks, threads: call.threads) { part in
      let first = part % blocks * block
      ck_blocks_affine_f32(
        from + part * space * block, space, block, factor + first, shift + first,
        to + part * space * block)
    }
  }
}

/// A value in blocks of channels, times or plus one number for each row and channel.
struct ChannelCombination: Operator {
  let outputs: [ValueInfo]
  private let isProduct: Bool
  private let block: Int

  init(_ info: ValueInfo, isProduct: Bool, block: Int) {
    outputs = [ValueInfo(info.type, info.shape)]
    (self.isProduct, self.block) = (isProduct, block)
  }

  func run(_ call: Call) {
    let (input, other, out) = (call.input(0), call.input(1), call.output(0))
    let space = input.count / max(other.count, 1)
    let (from, to, numbers) = (input.floats, out.floats, other.floats)
    parallel(other.count / block, threads: call.threads) { part in
      let ones: [Float] = Array(repeating: isProduct ? 0 : 1, count: block)
      ones.withUnsafeBufferPointer { constants in
        guard let base = constants.baseAddress else { return }
        let own = UnsafePointer(numbers + part * block)
        ck_blocks_affine_f32(
          from + part * space * block, space, block, isProduct ? own : base,
          isProduct ? base : own, to + part * space * block)
      }
    }
  }
}

/// Runs `body`, in which oneDNN and `parallel` may use so many threads.
func withThreads<Value>(_ count: Int, _ body: () -> Value) -> Value {
  var value: Value?
  func run() { value = body() }
  withoutActuallyEscaping(run) { run in
    var run = run
    withUnsafeMutablePointer(to: &run) { pointer in
      dn_with_threads(
        Int32(clamping: count),
        { raw in raw?.assumingMemoryBound(to: (() -> Void).self).pointee() }, pointer)
    }
  }
  return value!
}

/// Runs `body` for each number below `count`, on as many threads as there may be: each takes the next
/// when it is done with one.
func parallel(_ count: Int, threads: Int, _ body: (Int) -> Void) {
  guard threads > 1, count > 1 else {
    for index in 0..<count { body(index) }
    return
  }
  withoutActuallyEscaping(body) { body in
    var body = body
    withUnsafeMutablePointer(to: &body) { pointer in
      dn_parallel(
        Int32(clamping: count),
        { raw, part in raw?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(part)) },
        pointer)
    }
  }
}

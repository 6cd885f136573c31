internal import CKernels

/// The kernel of a support vector machine over its vectors, for rows of floats.
struct KernelMachine: Sendable {
  enum Kernel: String, Sendable {
    case linear = "LINEAR"
    case poly = "POLY"
    case rbf = "RBF"
    case sigmoid = "SIGMOID"
  }

  /// Rows whose kernel values are computed at once; keeps them in the caches.
  static let rowsAtOnce = 64

  private let kernel: Kernel
  private let vectors: Panels
  /// Gamma, coef0 and degree.
  private let parameters: (gamma: Double, coef0: Double, degree: Double)

  /// - Parameter vectors: `count` vectors of `width` numbers, one after the other.
  init(
    _ node: Node, vectors: [Float], count: Int, width: Int, kernel: Kernel
  ) throws(ModelError) {
    let (size, overflow) = count.multipliedReportingOverflow(by: width)
    guard count > 0, !overflow, vectors.count == size else {
      throw node.error(
        .malformed, "\(vectors.count) numbers for \(count) vectors of \(width) features")
    }
    self.kernel = kernel
    self.vectors = Panels(depth: width, columns: count) { Double(vectors[$1 * width + $0]) }
    let numbers = try node.floats("kernel_params") ?? []
    guard numbers.isEmpty || numbers.count >= 3 else {
      throw node.error(.malformed, "kernel_params has \(numbers.count) of 3 numbers")
    }
    parameters =
      numbers.isEmpty ? (0, 0, 0) : (Double(numbers[0]), Double(numbers[1]), Double(numbers[2]))
  }

  static func kernel(of node: Node) throws(ModelError) -> Kernel {
    let name = try node.string("kernel_type", default: "LINEAR")
    guard let kernel = Kernel(rawValue: name) else {
      throw node.error(.malformed, "kernel_type \"\(name)\" does not exist")
    }
    return kernel
  }

  var count: Int { vectors.columns }

  /// The same in floats, for a radial kernel of many vectors.
  func radial(weights: Panels, offsets: [Double]) -> RadialKernel? {
    guard kernel == .rbf else { return nil }
    return RadialKernel(
      points: vectors, gamma: parameters.gamma, weights: weights, offsets: offsets)
  }

  /// `out[row * count + vector]` = the kernel of row and vector.
  func compute(
    _ rows: UnsafePointer<Float>, rowCount: Int, into out: UnsafeMutablePointer<Double>
  ) {
    let size = rowCount * count
    switch kernel {
    case .rbf:
      ck_distance_f32(rows, rowCount, vectors.depth, vectors.pointer, count, out)
      ck_kernel_rbf_f64(out, size, parameters.gamma)
    default:
      ck_dot_f32(rows, rowCount, vectors.depth, vectors.pointer, count, out)
    }
    switch kernel {
    case .linear, .rbf: break
    case .sigmoid: ck_kernel_sigmoid_f64(out, size, parameters.gamma, parameters.coef0)
    case .poly:
      ck_kernel_poly_f64(out, size, parameters.gamma, parameters.coef0, parameters.degree)
    }
  }
}

/// Sums of kernel values, weighted; the part that all support vector machines share.
struct KernelSums: Sendable {
  let machine: KernelMachine
  let weights: Panels
  let offsets: [Double]
  private let radial: RadialKernel?

  init(machine: KernelMachine, weights: Panels, offsets: [Double]) {
    (self.machine, self.weights, self.offsets) = (machine, weights, offsets)
    radial = machine.radial(weights: weights, offsets: offsets)
  }

  func scratchByteCount(rows: Int) -> Int {
    let rows = min(rows, KernelMachine.rowsAtOnce)
    let values = radial?.scratchByteCount(rows: rows) ?? rows * machine.count * 8
    return values + (rows * weights.columns * 8 + 63) & ~63
  }

  /// Calls `body` with each row and its sums.
  func forEachRow(
    _ rows: UnsafePointer<Float>, width: Int, rowCount: Int, scratch: UnsafeMutableRawPointer,
    _ body: (Int, UnsafeMutablePointer<Double>) -> Void
  ) {
    let atOnce = min(rowCount, KernelMachine.rowsAtOnce)
    let sums = scratch.assumingMemoryBound(to: Double.self)
    let space = scratch + (atOnce * weights.columns * 8 + 63) & ~63
    let values = space.assumingMemoryBound(to: Double.self)
    var start = 0
    while start < rowCount {
      let count = min(atOnce, rowCount - start)
      if let radial {
        radial.sum(
          rows + start * width, rowCount: count, weights: weights, offsets: offsets,
          scratch: space, into: sums)
      } else {
        machine.compute(rows + start * width, rowCount: count, into: values)
        ck_gemm_f64(
          values, count, machine.count, weights.pointer, weights.columns, offsets, sums)
      }
      for row in 0..<count { body(start + row, sums + row * weights.columns) }
      start += count
    }
  }
}

/// SVMRegressor: a weighted sum of kernel values; its sign where the machine is of one class.
struct SVMRegressor: Operator {
  let outputs: [ValueInfo]
  private let sums: KernelSums
  private let rows: FeatureRows
  private let isOneClass: Bool
  private let transform: PostTransform

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try SVMRegressor(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    rows = try FeatureRows(node, node.input(0))
    let width = rows.width
    let coefficients = try node.floats("coefficients") ?? []
    let supports = try node.int("n_supports", default: 0)
    guard let offset = try node.floats("rho")?.first else {
      throw node.error(.malformed, "no rho")
    }
    let machine: KernelMachine
    let weights: [Float]
    if supports > 0 {
      machine = try KernelMachine(
        node, vectors: node.floats("support_vectors") ?? [], count: supports, width: width,
        kernel: KernelMachine.kernel(of: node))
      weights = coefficients
    } else {
      // Without vectors the coefficients are those of a plain weighted sum.
      machine = try KernelMachine(
        node, vectors: coefficients, count: 1, width: width, kernel: .linear)
      weights = [1]
    }
    sums = KernelSums(
      machine: machine, weights: try Panels(node, weights, depth: machine.count, columns: 1),
      offsets: [Double(offset)])
    isOneClass = try node.int("one_class", default: 0) != 0
    transform = try PostTransform(node)
    outputs = [try node.output(.float32, rows.wide(1))]
  }

  func scratchByteCount(rows: Int) -> Int {
    sums.scratchByteCount(rows: self.rows.count(rows: rows))
  }

  func run(_ call: Call) {
    let scores = call.output(0).floats
    sums.forEachRow(
      call.input(0).floats, width: rows.width, rowCount: rows.count(call), scratch: call.scratch
    ) { row, sum in
      scores[row] = isOneClass ? (sum[0] > 0 ? 1 : -1) : Float(sum[0])
      if transform != .none { transform.apply(scores + row, count: 1) }
    }
  }
}

/// SVMClassifier: votes of one machine for each pair of classes, with Platt's probabilities where
/// the model has their parameters; or, without support vectors, one linear sum a class.
///
/// Scores are the classes' probabilities, else the pairs' sums; of two classes both signs of the
/// one sum.
struct SVMClassifier: Operator {
  let outputs: [ValueInfo]
  private let sums: KernelSums
  private let rows: FeatureRows
  private let labels: ClassLabels
  private let transform: PostTransform
  private let mode: Mode
  /// True where no coefficient is negative.
  private let allPositive: Bool

  private enum Mode: Sendable {
    case linear
    case votes
    case probabilities(a: [Double], b: [Double])
  }

  static let make: OperatorFactory = { node throws(ModelError) in
    try WithFloatInput.wrap(node) { node throws(ModelError) in try SVMClassifier(node) }
  }

  private init(_ node: Node) throws(ModelError) {
    rows = try FeatureRows(node, node.input(0))
    let width = rows.width
    guard let labels = try ClassLabels(node) else {
      throw node.error(.malformed, "no class labels")
    }
    self.labels = labels
    let coefficients = try node.floats("coefficients") ?? []
    let rho = try node.floats("rho") ?? []
    allPositive = coefficients.allSatisfy { $0 >= 0 }
    transform = try PostTransform(node)
    let perClass = try node.ints("vectors_per_class") ?? []
    let scoreCount: Int
    if perClass.contains(where: { $0 > 0 }) {
      (sums, mode, scoreCount) = try Self.pairs(
        node, labels.count, perClass: perClass, coefficients: coefficients, rho: rho,
        width: width)
    } else {
      guard let offset = rho.first else { throw node.error(.malformed, "no rho") }
      let classes = labels.count
      let machine = try KernelMachine(
        node, vectors: coefficients, count: classes, width: width, kernel: .linear)
      sums = KernelSums(
        machine: machine,
        weights: Panels(depth: classes, columns: classes) { $0 == $1 ? 1 : 0 },
        offsets: Array(repeating: Double(offset), count: classes))
      (mode, scoreCount) = (.linear, classes)
    }
    outputs = [
      try node.output(labels.type, rows.single),
      try node.output(.float32, rows.wide(scoreCount)),
    ]
  }

  private static func pairs(
    _ node: Node, _ classes: Int, perClass: [Int], coefficients: [Float], rho: [Float],
    width: Int
  ) throws(ModelError) -> (KernelSums, Mode, scoreCount: Int) {
    guard perClass.count == classes, classes >= 2, classes <= 4096 else {
      throw node.error(.malformed, "\(perClass.count) counts of vectors for \(classes) classes")
    }
    var starts = [0]
    for count in perClass {
      guard (0...node.limits.elementCount).contains(count) else {
        throw node.error(.malformed, "a class has \(count) vectors")
      }
      starts.append(starts[starts.count - 1] + count)
    }
    let vectorCount = starts[classes]
    let pairCount = classes * (classes - 1) / 2
    guard rho.count >= pairCount else {
      throw node.error(.malformed, "\(rho.count) of \(pairCount) rho")
    }
    guard coefficients.count >= (classes - 1) * vectorCount else {
      throw node.error(
        .malformed, "\(coefficients.count) of \((classes - 1) * vectorCount) coefficients")
    }
    let (size, overflow) = vectorCount.multipliedReportingOverflow(by: pairCount + 8)
    guard !overflow, size <= node.limits.elementCount else {
      throw node.error(.tooLarge, "\(pairCount) pairs of classes of \(vectorCount) vectors")
    }
    let machine = try KernelMachine(
      node, vectors: node.floats("support_vectors") ?? [], count: vectorCount, width: width,
      kernel: KernelMachine.kernel(of: node))
    var ofPair: [(Int, Int)] = []
    for i in 0..<classes { for j in (i + 1)..<max(classes, i + 1) { ofPair.append((i, j)) } }
    // A vector of class i has its weight against class j in row j - 1, one of class j its weight
    // against class i in row i; it has no part in the other pairs.
    let weights = Panels(depth: vectorCount, columns: pairCount) { vector, pair in
      let (i, j) = ofPair[pair]
      if vector >= starts[i] && vector < starts[i + 1] {
        return Double(coefficients[(j - 1) * vectorCount + vector])
      }
      if vector >= starts[j] && vector < starts[j + 1] {
        return Double(coefficients[i * vectorCount + vector])
      }
      return 0
    }
    let sums = KernelSums(
      machine: machine, weights: weights, offsets: rho.prefix(pairCount).map(Double.init))
    let a = try node.floats("prob_a") ?? []
    let b = try node.floats("prob_b") ?? []
    if a.isEmpty && b.isEmpty { return (sums, .votes, classes == 2 ? 2 : pairCount) }
    guard a.count >= pairCount, b.count == a.count else {
      throw node.error(.malformed, "\(a.count) prob_a and \(b.count) prob_b for \(pairCount)")
    }
    return (sums, .probabilities(a: a.map(Double.init), b: b.map(Double.init)), classes)
  }

  private var classes: Int { labels.count }

  private func sumsByteCount(rows: Int) -> Int {
    (sums.scratchByteCount(rows: self.rows.count(rows: rows)) + 63) & ~63
  }

  func scratchByteCount(rows: Int) -> Int {
    sumsByteCount(rows: rows) + PairwiseCoupling.scratchByteCount(classes: classes)
      + classes * MemoryLayout<Int>.stride
  }

  func run(_ call: Call) {
    let scores = call.output(1).floats
    let width = outputs[1].shape.dims[1]
    let extra = call.scratch + sumsByteCount(rows: call.rowCount)
    let votes = extra.assumingMemoryBound(to: Int.self)
    let coupling = extra + classes * MemoryLayout<Int>.stride
    sums.forEachRow(
      call.input(0).floats, width: rows.width, rowCount: rows.count(call), scratch: call.scratch
    ) { row, sum in
      let own = scores + row * width
      switch mode {
      case .linear:
        for index in 0..<classes { own[index] = Float(sum[index]) }
        var best = 0
        for index in 1..<max(classes, 1) where own[index] > own[best] { best = index }
        labels.write(linearClass(best, own[best]), to: call.output(0), row: row)
        transform.apply(own, count: classes)
      case .votes:
        labels.write(vote(sum, votes), to: call.output(0), row: row)
        if classes == 2 {
          writeBoth(Float(sum[0]), to: own)
        } else {
          for pair in 0..<width { own[pair] = Float(sum[pair]) }
          transform.apply(own, count: width)
        }
      case .probabilities(let a, let b):
        labels.write(vote(sum, votes), to: call.output(0), row: row)
        PairwiseCoupling.probabilities(
          of: sum, a: a, b: b, classes: classes, into: own, scratch: coupling)
        transform.apply(own, count: classes)
      }
    }
  }

  /// Of two classes ONNX Runtime takes the second where its rule for the greatest sum says so.
  private func linearClass(_ best: Int, _ sum: Float) -> Int {
    guard classes == 2 else { return best }
    return (allPositive ? sum >= 0.5 : sum > 0) ? 1 : best
  }

  /// The class with the most votes, the first of several.
  private func vote(
    _ sum: UnsafeMutablePointer<Double>, _ votes: UnsafeMutablePointer<Int>
  ) -> Int {
    for index in 0..<classes { votes[index] = 0 }
    var pair = 0
    for i in 0..<classes {
      for j in (i + 1)..<max(classes, i + 1) {
        votes[sum[pair] > 0 ? i : j] += 1
        pair += 1
      }
    }
    var best = 0
    for index in 1..<max(classes, 1) where votes[index] > votes[best] { best = index }
    return best
  }

  private func writeBoth(_ score: Float, to own: UnsafeMutablePointer<Float>) {
    own[1] = score
    switch transform {
    case .none: own[0] = -score
    case .probit:
      own[1] = PostTransform.probit(score)
      own[0] = 1 - own[1]
    default: own[0] = 1 - score
    }
  }
}

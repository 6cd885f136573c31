/// The file formats that the engine reads.
public enum ModelFormat: String, Sendable, Codable, CaseIterable {
  case onnx
  case lightgbm
  case xgboost
  case catboost
}

/// Bounds on what a model may ask for, checked before anything is allocated.
public struct ModelLimits: Sendable {
  public var byteCount = 2 << 30
  public var nodeCount = 1_000_000
  public var elementCount = 1 << 29
  public var features = 1 << 20
  public var nestingDepth = 64
  /// Products and sums of an operator for a row, or for the whole of a network without rows.
  public var stepCount = 1 << 34

  public init() {}
}

/// A validated model, ready to score rows; shared by any number of threads.
///
/// A row's score depends on neither the other rows of its batch, nor its position, nor the number
/// of threads.
public final class Model: Sendable {
  public let format: ModelFormat
  public let signature: Signature
  /// What the loaded model takes, for the budget of a cache.
  public let byteCount: Int
  /// Whether reasons can be asked for beside its predictions (`ModelOptions.reasons`).
  public let givesReasons: Bool
  let predictor: any Predictor
  /// Where it runs: `auto` is one of the others by then.
  public let device: Device
  /// Whether it is a network of tensors, images or texts: layers of very many sums each.
  public var isNetwork: Bool { predictor.isNetwork }

  init(
    format: ModelFormat, signature: Signature, byteCount: Int, givesReasons: Bool = false,
    device: Device = .cpu, predictor: any Predictor
  ) {
    (self.format, self.device) = (format, device)
    self.givesReasons = givesReasons
    self.signature = signature
    self.byteCount = byteCount
    self.predictor = predictor
  }

  /// Scores a batch. Cost is linear in rows; nothing is kept between calls but `workspace`.
  ///
  /// - Throws: `ModelError.Code.mismatch` where the batch does not fit the signature. A row that
  ///   cannot be scored does not throw: it is a failure beside its scored neighbours.
  public func predict(
    _ batch: Batch, workspace: Workspace
  ) throws(ModelError) -> Predictions {
    guard batch.columns.count == signature.features.count else {
      throw ModelError(
        .mismatch,
        "\(batch.columns.count) columns for \(signature.features.count) features")
    }
    let odd = batch.columns.withUnsafeBufferPointer { columns in
      columns.indices.first { columns[$0].count != batch.rowCount }
    }
    for (column, feature) in zip(batch.columns, signature.features)
    where !feature.accepts(column.shape) {
      throw ModelError(
        .mismatch,
        "feature \"\(feature.name)\" has shape \(feature.shape ?? []), its column \(column.shape)")
    }
    if let odd {
      throw ModelError(
        .mismatch,
        "feature \"\(signature.features[odd].name)\" has \(batch.columns[odd].count) of "
          + "\(batch.rowCount) rows")
    }
    return try predictor.predict(batch, workspace: workspace)
  }
}

extension Signature.Feature {
  /// Whether a column of rows of this shape can be the feature's.
  @inline(__always)
  fileprivate func accepts(_ other: [Int]) -> Bool {
    guard let shape else { return other.isEmpty }
    return shape.count == other.count
      && zip(shape, other).allSatisfy { $0 == $1 || $0 < 0 && $1 > 0 }
  }
}

/// What a format's importer makes of a file: the part of a model that computes.
protocol Predictor: Sendable {
  var isNetwork: Bool { get }
  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions
}

extension Predictor {
  var isNetwork: Bool { false }
}

/// Scratch memory that one thread reuses from batch to batch, and from model to model.
public final class Workspace {
  /// Threads that a network may use for a batch: 1 where many lanes score at once, more where one
  /// request shall be answered soon.
  public let threads: Int
  private var base: UnsafeMutableRawPointer?
  private var byteCount = 0
  /// Plans laid out in this memory, the latest last.
  var frames: [Frame] = []
  /// Columns of the last answer: the next one is written into their memory, if nobody else holds
  /// them any more.
  var columns: [Column] = []
  /// For models that read images.
  private(set) lazy var images = ImageWorkspace()

  /// What threads beside the caller's use, one each.
  var helpers: [Workspace] = []
  /// What is kept between texts while they are cut into tokens.
  var tokenizing: TokenizerScratch?

  public init(threads: Int = 1) { self.threads = max(threads, 1) }

  deinit { base?.deallocate() }

  /// The last answer's columns, which the workspace gives away.
  func takeColumns() -> [Column] {
    let taken = columns
    columns = []
    return taken
  }

  /// Memory aligned to 64 bytes, not cleared; the same memory in each call, so that the last
  /// call's is void.
  func scratch(byteCount wanted: Int) -> UnsafeMutableRawPointer {
    if let base, wanted <= byteCount { return base }
    base?.deallocate()
    frames.removeAll()
    byteCount = max(wanted, 64 * 1024)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    base = memory
    return memory
  }
}

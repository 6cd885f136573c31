/// Scores batches with a plan: columns into the graph's inputs, its outputs into columns.
///
/// A class, since a struct's members would each be retained for a call, by all threads at once.
final class GraphPredictor: Predictor {
  /// Where a feature goes, and what is done where it is missing.
  struct FeatureSlot: Sendable {
    let input: Int
    let element: Int
    /// Elements of a row of the input.
    let width: Int
    let type: TensorType
    let name: String
    let mayBeMissing: Bool
    /// True where the input has all rows of a feature together.
    var isColumn = false
    /// False where no output depends on the feature.
    var isRead = true
    /// What makes the whole input of one image; the column is then of bytes.
    var image: ImageReader?
  }

  /// Which element of a row of the graph's outputs a column is made of.
  struct OutputSlot: Sendable {
    let output: Int
    let element: Int
    let width: Int
    let type: TensorType
    /// Names that replace the graph's own classes; nil where they stay.
    let names: ClassNames?
    /// Which of the parts that precede the rows, as one for each of several targets does.
    var part = 0
    /// Sizes of a row's tensor where the column has all of it; nil for one element.
    var shape: [Int]?
  }

  let plan: Plan
  let features: [FeatureSlot]
  let outputs: [OutputSlot]
  private let readers: [InputReader]
  /// What each feature's column must hold.
  private let kinds: [Column.Kind]
  /// Whether all outputs are written as they are.
  private let isPlain: Bool
  /// Whether the graph is a network's, whose layers may use several threads.
  let isNetwork: Bool
  /// Where the network finds objects in images: its columns are then those of the finder.
  private let finder: ObjectFinder?
  private let backend: any ExecutionBackend

  init(
    plan: Plan, features: [FeatureSlot], outputs: [OutputSlot], finder: ObjectFinder? = nil,
    backend: any ExecutionBackend
  ) {
    (self.plan, self.features, self.outputs) = (plan, features, outputs)
    (self.finder, self.backend) = (finder, backend)
    readers = InputReader.readers(of: features)
    isNetwork = plan.graph.isNetwork
    kinds = features.map { $0.image != nil ? .bytes : $0.type == .string ? .text : .number }
    isPlain = outputs.allSatisfy(\.isPlain)
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    let wrong = batch.columns.withUnsafeBufferPointer { columns in
      kinds.withUnsafeBufferPointer { kinds in
        columns.indices.first { columns[$0].kind != kinds[$0] }
      }
    }
    if let wrong { throw FeatureReader.mismatch(batch.columns[wrong], features[wrong]) }
    var columns: [Column] = []
    var builders: [any ColumnBuilding] = []
    var objects = finder.map { ObjectCollector($0, rowCount: batch.rowCount) }
    let isPlain = isPlain && batch.rowCount > 0 && objects == nil
    if isPlain {
      columns = workspace.takeColumns()
      if columns.count != outputs.count {
        columns = Array(repeating: Column(.bool([])), count: outputs.count)
      }
    } else {
      builders = outputs.map { $0.makeBuilder(rowCount: batch.rowCount) }
    }
    var failures: [Predictions.Failure] = []
    var start = 0
    while start < batch.rowCount {
      let rows = start..<min(start + plan.blockRows, batch.rowCount)
      let frame =
        isNetwork
        ? withThreads(workspace.threads) { run(batch, rows, workspace) }
        : run(batch, rows, workspace)
      if objects != nil {
        objects?.take(frame.outputs, rows, workspace.images.places)
      } else if isPlain {
        write(frame, rows, of: batch.rowCount, to: &columns)
      } else {
        for index in builders.indices {
          builders[index].append(
            frame.outputs[outputs[index].output].part(outputs[index], rows.count),
            rowCount: rows.count)
        }
      }
      if !frame.failures.reasons.isEmpty {
        for (row, failure) in frame.failures.reasons.sorted(by: { $0.key < $1.key }) {
          failures.append(.init(row: start + row, code: failure.code, reason: failure.reason))
        }
      }
      start = rows.upperBound
    }
    if isPlain {
      workspace.columns = columns
    } else {
      columns = objects?.columns() ?? builders.map { $0.column() }
    }
    return Predictions(columns: columns, failures: failures)
  }

  @inline(__always)
  private func run(_ batch: Batch, _ rows: Range<Int>, _ workspace: Workspace) -> Frame {
    let frame = workspace.frame(
      planID: plan.id, byteCount: plan.byteCount, rowCount: rows.count
    ) { Frame(plan, rowCount: rows.count, memory: $0, threads: workspace.threads) }
    if !frame.failures.reasons.isEmpty { frame.failures.removeAll() }
    batch.columns.withUnsafeBufferPointer { columns in
      features.withUnsafeBufferPointer { slots in
        readers.withUnsafeBufferPointer { readers in
          for index in readers.indices {
            readers[index].read(columns, slots, rows, into: frame, workspace)
          }
        }
      }
    }
    backend.run(frame)
    return frame
  }

  /// Writes a block's rows of plain outputs, into the memory of an earlier answer's where it fits.
  @inline(__always)
  private func write(
    _ frame: Frame, _ rows: Range<Int>, of total: Int, to columns: inout [Column]
  ) {
    outputs.withUnsafeBufferPointer { slots in
      for index in slots.indices {
        let base =
          frame.outputBases[slots[index].output]
          + slots[index].part * rows.count * slots[index].width * slots[index].type.stride
        let (element, width) = (slots[index].element, slots[index].width)
        func write<T>(_ known: [T], empty: T) -> [T] {
          var values = known
          if values.count != total { values = Array(repeating: empty, count: total) }
          let source = base.assumingMemoryBound(to: T.self) + element
          values.withUnsafeMutableBufferPointer { values in
            for row in 0..<rows.count { values[rows.lowerBound + row] = source[row * width] }
          }
          return values
        }
        let known = columns[index].values
        columns[index].values = .bool([])
        switch slots[index].type {
        case .float32:
          if case .float32(let known) = consume known {
            columns[index] = Column(.float32(write(known, empty: 0)))
          } else {
            columns[index] = Column(.float32(write([], empty: 0)))
          }
        case .float64:
          if case .float64(let known) = consume known {
            columns[index] = Column(.float64(write(known, empty: 0)))
          } else {
            columns[index] = Column(.float64(write([], empty: 0)))
          }
        case .string:
          if case .string(let known) = consume known {
            columns[index] = Column(.string(write(known, empty: "")))
          } else {
            columns[index] = Column(.string(write([], empty: "")))
          }
        default:
          if case .int64(let known) = consume known {
            columns[index] = Column(.int64(write(known, empty: 0)))
          } else {
            columns[index] = Column(.int64(write([], empty: 0)))
          }
        }
      }
    }
  }
}

extension GraphPredictor.OutputSlot {
  /// Whether a column holds the elements as they are.
  fileprivate var isPlain: Bool {
    if shape != nil { return false }
    return switch type {
    case .float32, .float64: true
    case .int64, .string: names == nil
    default: false
    }
  }
}

extension TensorView {
  /// The view from a slot's part on.
  @inline(__always)
  fileprivate func part(_ slot: GraphPredictor.OutputSlot, _ rowCount: Int) -> TensorView {
    if slot.part == 0 { return self }
    return TensorView(
      type: type, dims: [rowCount, slot.width],
      base: base + slot.part * rowCount * slot.width * type.stride)
  }
}

extension Column {
  /// Kinds of columns, none of which can be read as another.
  enum Kind { case number, text, bytes }

  @inline(__always)
  var kind: Kind {
    switch values {
    case .string: .text
    case .bytes: .bytes
    default: .number
    }
  }
}

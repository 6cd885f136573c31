internal import CDNN
internal import Synchronization

/// Packed weights that the plans of one network share, whatever sizes they are made for.
final class WeightStore: Sendable {
  private struct Contents {
    /// Tensors of the file and what was made of them alone; others belong to one plan.
    var known: Set<ObjectIdentifier>
    var derived: [[ObjectIdentifier]: Tensor] = [:]
    var packed: [Packing: [(form: Primitive?, buffer: TensorBuffer)]] = [:]
  }

  private struct Packing: Hashable {
    let weights: ObjectIdentifier
    let isTransposed: Bool
  }

  private let contents: Mutex<Contents>

  /// - Parameter isShared: Whether there will be several plans; one keeps its weights itself.
  init(_ source: OnnxGraph, isShared: Bool) {
    let tensors = isShared ? source.initializers.map(\.tensor) : []
    contents = Mutex(Contents(known: Set(tensors.map { ObjectIdentifier($0.buffer) })))
  }

  /// A tensor that is made of others, once where these are the file's.
  func derived(from sources: [Tensor], _ make: () -> Tensor) -> Tensor {
    let key = sources.map { ObjectIdentifier($0.buffer) }
    let (isKnown, found) = contents.withLock { contents in
      (key.allSatisfy(contents.known.contains), contents.derived[key])
    }
    if let found { return found }
    let made = make()
    guard isKnown else { return made }
    // Of two threads that made the same, one's work is kept.
    return contents.withLock { contents in
      if let other = contents.derived[key] { return other }
      contents.derived[key] = made
      contents.known.insert(ObjectIdentifier(made.buffer))
      return made
    }
  }

  /// The weights as `pack` makes them, which is asked once for each form of a tensor of the file.
  ///
  /// - Parameters:
  ///   - isTransposed: Whether the tensor's axes are taken the other way round.
  ///   - form: Whose form they are brought into; nil for the engine's own.
  func packed(
    _ weights: Tensor, isTransposed: Bool = false, form: Primitive?, _ pack: () -> TensorBuffer?
  ) -> TensorBuffer? {
    let key = Packing(weights: ObjectIdentifier(weights.buffer), isTransposed: isTransposed)
    func find(_ contents: Contents) -> TensorBuffer? {
      contents.packed[key]?.first { $0.form.takesWeights(of: form) }?.buffer
    }
    let (isKnown, found) = contents.withLock {
      ($0.known.contains(key.weights), find($0))
    }
    if let found { return found }
    guard let made = pack() else { return nil }
    guard isKnown else { return made }
    return contents.withLock { contents in
      if let other = find(contents) { return other }
      contents.packed[key, default: []].append((form, made))
      return made
    }
  }
}

extension Primitive? {
  /// Whether weights that were packed for one are in the form of the other.
  fileprivate func takesWeights(of other: Primitive?) -> Bool {
    guard let self, let other else { return self == nil && other == nil }
    return dn_takes_weights_of(self.handle, other.handle) != 0
  }
}

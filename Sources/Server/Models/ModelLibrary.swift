internal import HTTPTypes
internal import Inference
internal import Postgres
internal import Scoring
internal import Synchronization

/// The models that requests name, loaded when first asked for.
///
/// What is loaded is the process's: a worker beside the server scores with the same memory.
final class ModelLibrary: Sendable {
  private struct State {
    var catalog: Catalog?
    /// How versions that were asked for read and write tensors.
    var plans: [ModelVersionID: TensorPlan] = [:]
    /// What each name and alias that was asked for came to last.
    var followed: [Followed: ModelVersionID] = [:]
    /// What of the pinned was loaded last.
    var pinned: [PinnedModel: ModelVersionID] = [:]
    var hasWhatIsPinned = false
  }

  private struct Followed: Hashable {
    var name: String
    var alias: String
  }

  private let state = Mutex(State())
  private let changes = Atomic<Int>(0)
  private let cache: ModelCache
  private let loader: ModelLoader
  private let pins: [PinnedModel]

  /// - Parameter pins: What is loaded as soon as it is known, and kept.
  init(cache: ModelCache, loader: ModelLoader, pins: [PinnedModel]) {
    self.cache = cache
    self.loader = loader
    self.pins = pins
  }

  // MARK: What there is

  var catalog: Catalog {
    get throws(Problem) {
      guard let catalog = state.withLock(\.catalog) else {
        throw Problem(
          .serviceUnavailable, "unavailable", "the models are not known yet", retryAfter: 1)
      }
      return catalog
    }
  }

  /// Takes what the database has now. Aliases that requests follow and that moved have their versions
  /// loaded at once, so that the next request waits less.
  func replace(with catalog: Catalog) {
    let moved = state.withLock { state in
      state.catalog = catalog
      let known = Set(catalog.entries.values.map(\.id))
      state.plans = state.plans.filter { known.contains($0.key.model) }
      var moved: [Catalog.Target] = []
      for (followed, last) in state.followed {
        guard let target = try? catalog.target(followed.name, followed.alias) else {
          state.followed[followed] = nil
          continue
        }
        if target.id != last {
          state.followed[followed] = target.id
          moved.append(target)
        }
      }
      return moved
    }
    changes.add(1, ordering: .releasing)
    for target in moved where cache.loadedModel(target.id) == nil { loader.preload(target.id) }
  }

  /// Has those loaded that are pinned and are not, and notes whether they are.
  ///
  /// A pinned alias that moves counts as loaded while its next version is on the way: else all servers of a
  /// database would leave at once.
  func attendPinned() {
    guard let catalog = state.withLock(\.catalog) else { return }
    let targets = pins.map { ($0, try? catalog.target($0.name, $0.version).id) }
    cache.pin(Set(targets.compactMap(\.1)))
    var loaded = state.withLock(\.pinned)
    for (pin, target) in targets {
      guard let target else {
        loaded[pin] = nil
        continue
      }
      if cache.loadedModel(target) != nil { loaded[pin] = target } else { loader.preload(target) }
    }
    state.withLock { state in
      state.pinned = loaded
      state.hasWhatIsPinned = loaded.count == Set(pins).count
    }
  }

  /// Grows after the catalog has changed: what was found in it before may not be there any more.
  var generation: Int { changes.load(ordering: .acquiring) }

  /// Whether models are known, and those that are pinned were loaded.
  var hasWhatIsPinned: Bool { state.withLock(\.hasWhatIsPinned) }

  /// Of models and their loading.
  var figures: ModelCache.Figures { cache.figures }

  /// Bytes that models may take together.
  var capacity: Int { cache.capacity }

  // MARK: One model

  /// - Parameter version: A number or an alias; the champion where nil.
  func target(_ name: String, _ version: String?) throws(Problem) -> Catalog.Target {
    let target = try catalog.target(name, version)
    let alias = version ?? Catalog.defaultAlias
    if Int32(alias) == nil {
      state.withLock { state in
        let key = Followed(name: name, alias: alias)
        if state.followed[key] == nil { state.followed[key] = target.id }
      }
    }
    return target
  }

  /// The model, loaded first where it is not.
  func model(_ target: Catalog.Target) async throws -> (model: LoadedModel, plan: TensorPlan) {
    if let loaded = loadedModel(target) { return loaded }
    do {
      let model = try await loader.load(target.id)
      return (model, plan(of: model))
    } catch let error as WorkError {
      throw Problem(error, model: target.name)
    }
  }

  /// The model, where it is loaded; waits for nobody.
  func loadedModel(_ target: Catalog.Target) -> (model: LoadedModel, plan: TensorPlan)? {
    cache.loadedModel(target.id).map { ($0, plan(of: $0)) }
  }

  private func plan(of model: LoadedModel) -> TensorPlan {
    if let plan = state.withLock({ $0.plans[model.id] }) { return plan }
    let plan = TensorPlan(model.model.signature)
    state.withLock { $0.plans[model.id] = plan }
    return plan
  }

  /// The model with reasons beside its predictions; another one than that which requests are scored with.
  func model(_ target: Catalog.Target, reasons: Int) async throws -> LoadedModel {
    do {
      return try await loader.load(target.id, reasons: reasons)
    } catch let error as WorkError {
      throw Problem(error, model: target.name)
    }
  }
}

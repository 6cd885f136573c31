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
    var confirmedAt: ContinuousClock.Instant?
    /// How versions that were asked for read and write tensors.
    var plans: [ModelVersionID: TensorPlan] = [:]
    /// What each name and alias that was asked for came to last.
    var followed: [Followed: ModelVersionID] = [:]
  }

  private struct Followed: Hashable {
    var name: String
    var alias: String
  }

  private let state = Mutex(State())
  private let cache: ModelCache
  private let loader: ModelLoader

  init(cache: ModelCache, loader: ModelLoader) {
    self.cache = cache
    self.loader = loader
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
      state.confirmedAt = .now
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
    for target in moved where cache.loadedModel(target.id) == nil { loader.preload(target.id) }
  }

  /// Says that the catalog is still what the database has.
  func confirm() { state.withLock { $0.confirmedAt = .now } }

  /// How long ago the database was heard of; nil where it never was.
  var silence: Duration? { state.withLock(\.confirmedAt).map { .now - $0 } }

  /// Of the models that are loaded.
  var byteCount: Int { cache.byteCount }

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
    let model: LoadedModel
    if let loaded = cache.loadedModel(target.id) {
      model = loaded
    } else {
      do {
        model = try await loader.load(target.id)
      } catch let error as WorkError {
        throw Problem(error, model: target.name)
      }
    }
    if let plan = state.withLock({ $0.plans[target.id] }) { return (model, plan) }
    let plan = TensorPlan(model.model.signature)
    state.withLock { $0.plans[target.id] = plan }
    return (model, plan)
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

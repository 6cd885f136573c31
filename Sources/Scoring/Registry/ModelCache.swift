internal import Inference
package import Logging
package import Postgres
internal import Synchronization

/// The models of a process, loaded once for all lanes and dropped when memory is short, the least
/// recently used first.
package final class ModelCache: Sendable {
  private struct Refusal {
    var error: WorkError
    var until: ContinuousClock.Instant
  }

  private enum Content {
    case empty
    case loaded(LoadedModel)
    case refused(Refusal)
  }

  /// Its lock is held while the model is loaded, so that lanes which need it too wait for it.
  private final class Slot: Sendable {
    let content = Mutex(Content.empty)
  }

  private struct Entry {
    var slot = Slot()
    var model: LoadedModel?
    var byteCount = 0
    var lastUse: UInt64 = 0
  }

  /// What explains its predictions is another model than what does not, and takes more memory.
  private struct Key: Hashable {
    var id: ModelVersionID
    var reasons: Int
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    var byteCount = 0
    var uses: UInt64 = 0
    var pinned: Set<ModelVersionID> = []
    var figures = Figures()
  }

  private let state = Mutex(State())
  /// Bytes that models may take together.
  package let capacity: Int
  private let events: EventSink
  /// A refused model may be mended by a newer alias; until then lanes must not load it in a loop.
  private let refusalLifetime = Duration.seconds(10)

  /// - Parameter byteCount: What models may take together. One larger than that is kept while it
  ///   is the newest.
  init(byteCount: Int, events: EventSink) {
    capacity = byteCount
    self.events = events
  }

  /// A cache that several parts of a process share, which logs what is loaded.
  package convenience init(byteCount: Int, logger: Logger) {
    self.init(
      byteCount: byteCount,
      events: EventSink(
        statistics: WorkerStatistics(), logger: logger, observer: nil))
  }

  /// - Parameter reasons: How many of each row's largest contributions the model answers too.
  /// - Throws: `.postgres` where the connection is at fault, which is not remembered; else why the
  ///   model cannot be used, which is, for ten seconds.
  package func model(
    _ id: ModelVersionID, reasons: Int = 0, on connection: Connection
  ) throws(WorkError) -> LoadedModel {
    let key = Key(id: id, reasons: reasons)
    let slot = state.withLock { state in
      state.uses += 1
      state.entries[key, default: Entry()].lastUse = state.uses
      return state.entries[key]!.slot
    }
    let outcome: Result<(LoadedModel, isNew: Bool), WorkError> = slot.content.withLock { content in
      switch content {
      case .loaded(let model): return .success((model, false))
      case .refused(let refusal) where ContinuousClock.now < refusal.until:
        return .failure(refusal.error)
      case .empty, .refused: break
      }
      do throws(WorkError) {
        let start = ContinuousClock.now
        let model = try LoadedModel.load(id, reasons: reasons, on: connection)
        content = .loaded(model)
        let duration = start.duration(to: .now)
        state.withLock { state in
          state.figures.loads += 1
          state.figures.loadSeconds += duration.seconds
        }
        events(
          .modelLoaded(
            model: model.name, version: Int(id.version), byteCount: model.model.byteCount,
            duration: duration))
        if model.fellBack {
          events(.deviceMissing(model: model.name, version: Int(id.version)))
        }
        return .success((model, true))
      } catch {
        state.withLock { $0.figures.failures += 1 }
        if case .postgres = error { return .failure(error) }
        content = .refused(
          Refusal(error: error, until: .now.advanced(by: refusalLifetime)))
        return .failure(error)
      }
    }
    let (model, isNew) = try outcome.get()
    if isNew { keep(model, key) }
    return model
  }

  /// The model, where it is loaded; waits for nobody who loads it.
  package func loadedModel(_ id: ModelVersionID) -> LoadedModel? {
    let key = Key(id: id, reasons: 0)
    return state.withLock { state in
      state.uses += 1
      state.entries[key]?.lastUse = state.uses
      return state.entries[key]?.model
    }
  }

  /// Counts a model that was loaded, and lets go of others for it. Lanes that still score with
  /// those keep them alive until they are done.
  private func keep(_ model: LoadedModel, _ key: Key) {
    state.withLock { state in
      state.entries[key]?.model = model
      state.entries[key]?.byteCount = model.model.byteCount
      state.byteCount += model.model.byteCount
      guard state.byteCount > capacity else { return }
      let oldest = state.entries.filter {
        $0.key != key && $0.value.byteCount > 0 && !state.pinned.contains($0.key.id)
      }.sorted { $0.value.lastUse < $1.value.lastUse }
      for (other, entry) in oldest where state.byteCount > capacity {
        state.byteCount -= entry.byteCount
        state.entries[other] = nil
        state.figures.unloads += 1
      }
    }
  }

  /// Never lets go of these, once they are loaded, in place of those of the last call.
  package func pin(_ ids: Set<ModelVersionID>) { state.withLock { $0.pinned = ids } }

  // MARK: Figures

  package struct Figures: Sendable, Equatable {
    /// Models that are loaded now, and their bytes.
    package var count = 0
    package var byteCount = 0
    /// Since the process began.
    package var loads = 0
    /// Models that could not be loaded, for whatever reason.
    package var failures = 0
    package var unloads = 0
    package var loadSeconds = 0.0
  }

  package var figures: Figures {
    state.withLock { state in
      var figures = state.figures
      figures.count = state.entries.count { $0.value.byteCount > 0 }
      figures.byteCount = state.byteCount
      return figures
    }
  }
}

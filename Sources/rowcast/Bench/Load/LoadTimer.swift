import Foundation
import Inference

/// How fast a model loads, and what it takes in memory.
struct LoadTimer {
  struct Figure: Encodable {
    /// Of the file.
    var byteCount: Int
    /// Median of the repeats.
    var seconds: Double
    var bytesPerSecond: Double
    /// What of the seconds went into reading the file, into bringing trees into the forms that
    /// kernels read, and into measuring kernels against each other: medians each.
    var readSeconds: Double
    var planSeconds: Double
    var trialSeconds: Double
    /// That stay allocated while the model is loaded.
    var heapByteCount: Int
    /// As the model itself counts for the cache's budget.
    var ownByteCount: Int
    /// Of heap to file.
    var memoryRatio: Double
  }

  /// - Complexity: Repeats until `seconds` are over, three times at least.
  static func measure(
    _ bytes: [UInt8], options: ModelOptions = ModelOptions(), seconds: Double
  ) throws -> (model: Model, figure: Figure) {
    // The first load brings in what all models share.
    _ = try Model.load(bytes, options: options)
    let (model, heap) = try Heap.bytes { try Model.load(bytes, options: options) }
    var (sample, reads, plans, trials) = (Sample(), Sample(), Sample(), Sample())
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    repeat {
      var times = LoadTimes()
      let total = try clock.measure { times = try Model.load(bytes, options: options).loadTimes }
      sample.add(Format.seconds(total))
      reads.add(Format.seconds(total - times.plan - times.trial))
      plans.add(Format.seconds(times.plan))
      trials.add(Format.seconds(times.trial))
    } while clock.now < end || sample.count < 3
    let median = sample.median ?? 0
    return (
      model,
      Figure(
        byteCount: bytes.count, seconds: median, bytesPerSecond: Double(bytes.count) / median,
        readSeconds: reads.median ?? 0, planSeconds: plans.median ?? 0,
        trialSeconds: trials.median ?? 0,
        heapByteCount: heap, ownByteCount: model.byteCount,
        memoryRatio: Double(heap) / Double(max(bytes.count, 1)))
    )
  }
}

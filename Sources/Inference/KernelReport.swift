/// Which kernel a model, or a part of one, was given when it was loaded, and what else was tried.
public struct KernelReport: Sendable, Equatable, Codable {
  public struct Alternative: Sendable, Equatable, Codable {
    public var name: String
    /// Measured with rows made up from the model's own thresholds: the cost of one row of a batch
    /// of so many.
    public var nanosecondsPerRow: [Measurement]

    public struct Measurement: Sendable, Equatable, Codable {
      public var rows: Int
      public var nanoseconds: Double
    }
  }

  /// What the kernel computes.
  public var part: String
  /// The least and the greatest batch, in rows, that it is taken for; nil where there is no bound.
  public var leastRows: Int
  public var mostRows: Int?
  /// The kernel's name, one of the alternatives'.
  public var name: String
  /// Why, in one clause.
  public var reason: String
  public var alternatives: [Alternative]

  public init(
    part: String, leastRows: Int, mostRows: Int?, name: String, reason: String,
    alternatives: [Alternative]
  ) {
    self.part = part
    self.leastRows = leastRows
    self.mostRows = mostRows
    self.name = name
    self.reason = reason
    self.alternatives = alternatives
  }
}

/// What can say which kernels it was given.
protocol KernelReporting {
  var kernelReports: [KernelReport] { get }
}

extension Model {
  /// The kernels that were chosen for this machine when the model was loaded. They decide how fast
  /// a row is scored, never what its score is.
  public var kernelChoices: [KernelReport] {
    (predictor as? any KernelReporting)?.kernelReports ?? []
  }
}

extension GraphPredictor: KernelReporting {
  var kernelReports: [KernelReport] {
    plan.graph.steps.flatMap { ($0.operation as? any KernelReporting)?.kernelReports ?? [] }
  }
}

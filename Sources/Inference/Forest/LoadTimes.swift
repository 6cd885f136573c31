/// How long the steps of loading a model took.
public struct LoadTimes: Sendable, Equatable {
  /// Bringing trees into the forms that kernels read.
  public var plan = Duration.zero
  /// Measuring kernels against each other.
  public var trial = Duration.zero

  public init(plan: Duration = .zero, trial: Duration = .zero) {
    (self.plan, self.trial) = (plan, trial)
  }

  static func + (a: LoadTimes, b: LoadTimes) -> LoadTimes {
    LoadTimes(plan: a.plan + b.plan, trial: a.trial + b.trial)
  }
}

extension Model {
  /// What of the load went into trees once they were read; all the rest is reading.
  public var loadTimes: LoadTimes {
    (predictor as? any LoadTiming)?.loadTimes ?? LoadTimes()
  }
}

/// What knows how long its trees took.
protocol LoadTiming {
  var loadTimes: LoadTimes { get }
}

extension TreeEnsemble: LoadTiming {
  var loadTimes: LoadTimes { plan.times }
}

extension GraphPredictor: LoadTiming {
  var loadTimes: LoadTimes {
    plan.graph.steps.reduce(LoadTimes()) { sum, step in
      sum + ((step.operation as? any LoadTiming)?.loadTimes ?? LoadTimes())
    }
  }
}

extension ForestPredictor: LoadTiming {
  var loadTimes: LoadTimes {
    switch self {
    case .float(let scoring): scoring.plan.times
    case .double(let scoring): scoring.plan.times
    }
  }
}

extension CategoryPredictor: LoadTiming {
  var loadTimes: LoadTimes { (trees as? any LoadTiming)?.loadTimes ?? LoadTimes() }
}

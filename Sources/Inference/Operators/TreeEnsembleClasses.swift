/// How a classifier's sums become a label and scores.
struct TreeEnsembleClasses: Sendable {
  let labels: ClassLabels
  /// Whether all votes of two classes are in the first's column: they speak for the second class, and
  /// the other score follows from theirs.
  let isSingle: Bool
  /// Whether all votes of two classes are in the second's column, where they are scores as they are.
  private let isSecondAlone: Bool
  private let isVoted: [Bool]
  private let hasNegativeVotes: Bool

  init(labels: ClassLabels, voted: Set<Int>, hasNegativeVotes: Bool) {
    self.labels = labels
    self.hasNegativeVotes = hasNegativeVotes
    isVoted = (0..<labels.count).map(voted.contains)
    isSingle = labels.count == 2 && voted == [0]
    isSecondAlone = labels.count == 2 && voted == [1]
  }

  /// The class of the largest sum, the first of equals. One that no leaf votes for has no sum.
  func best(of scores: UnsafeMutablePointer<Double>, hasBase: Bool) -> Int {
    if isSecondAlone, !hasBase { return scores[1] > (hasNegativeVotes ? 0 : 0.5) ? 1 : 0 }
    var best: Int?
    for k in 0..<labels.count where hasBase || isVoted[k] {
      if best.map({ scores[k] > scores[$0] }) ?? true { best = k }
    }
    return best ?? 0
  }

  /// Two scores from one: a probability and its complement where no vote is negative, else a
  /// margin and its opposite.
  func split(
    _ margin: Double, _ transform: PostTransform, into scores: UnsafeMutablePointer<Double>
  ) -> Int {
    switch transform {
    case .logistic:
      scores[0] = PostTransform.logistic(-margin)
      scores[1] = PostTransform.logistic(margin)
      return margin > 0 ? 1 : 0
    case .probit:
      scores[0] = PostTransform.probit(1 - margin)
      scores[1] = PostTransform.probit(margin)
      return margin > 0.5 ? 1 : 0
    default: break
    }
    if hasNegativeVotes {
      (scores[0], scores[1]) = (-margin, margin)
      return margin > 0 ? 1 : 0
    }
    (scores[0], scores[1]) = (1 - margin, margin)
    return margin > 0.5 ? 1 : 0
  }
}

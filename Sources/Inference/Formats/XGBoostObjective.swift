#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// What an objective does to margins, by XGBoost's name for it.
struct XGBoostObjective {
  let link: ForestLink
  let kind: ForestOutputs.Kind
  private let baseLink: ForestLink

  /// - Parameters:
  ///   - groups: how many outputs a row has.
  ///   - version: of the release that wrote the model.
  init(_ name: String, groups: Int, version: [Int]) throws(ModelError) {
    switch name {
    case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror",
      "reg:absoluteerror", "reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map":
      (link, kind, baseLink) = (.identity, .scores, .identity)
    case "reg:expectileerror":
      (link, kind, baseLink) = (.ascending, .scores, .ascending)
    case "reg:logistic":
      (link, kind, baseLink) = (.logistic(slope: 1), .scores, .logistic(slope: 1))
    case "binary:logistic":
      (link, kind, baseLink) = (
        .logistic(slope: 1), groups == 1 ? .binary : .scores, .logistic(slope: 1)
      )
    case "binary:logitraw":
      // Margins in and out; before XGBoost 1.4 its base score was a probability all the same.
      (link, kind, baseLink) = (
        .identity, .scores,
        version.lexicographicallyPrecedes([1, 4]) ? .logistic(slope: 1) : .identity
      )
    case "binary:hinge":
      (link, kind, baseLink) = (.identity, groups == 1 ? .binaryMargin : .scores, .identity)
    case "multi:softprob", "multi:softmax":
      (link, kind, baseLink) = (.softmax, .multiclass, .identity)
    case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
      (link, kind, baseLink) = (.exponential, .scores, .exponential)
    default:
      throw ModelError(.unsupported, "objective \"\(name.prefix(40))\" is not supported")
    }
  }

  /// The margins of base scores, which are written as outputs, one for each.
  func margins(ofBase base: [Float]) -> [Float] {
    let epsilon = Float(ForestLink.epsilon)
    switch baseLink {
    case .logistic:
      // Bounded where all labels were alike: no margin is infinite.
      return base.map { score in
        guard (0...1).contains(score) else { return .nan }
        return -logf(1 / min(max(score, epsilon), 1 - epsilon) - 1)
      }
    case .exponential: return base.map { logf($0) }
    case .ascending:
      return base.indices.map { index in
        guard index > 0 else { return base[0] }
        let step = max(base[index] - base[index - 1] - epsilon, epsilon)
        return step + logf(-expm1f(-step))
      }
    default: return base
    }
  }
}

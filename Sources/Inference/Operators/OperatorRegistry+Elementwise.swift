internal import CKernels

extension OperatorRegistry {
  /// Operators of ai.onnx that work element by element.
  static let elementwiseOperators: [String: OperatorFactory] =
    binary.merging(functions) { $1 }.merging(activations) { $1 }
    .merging(trigonometry) { $1 }

  private static let binary: [String: OperatorFactory] = [
    "Add": BinaryElementwise.arithmetic(Addition.self),
    "And": BinaryElementwise.logical { $0 && $1 },
    "BitShift": BinaryElementwise.shift,
    "BitwiseAnd": BinaryElementwise.integral(BitwiseAnd.self),
    "BitwiseOr": BinaryElementwise.integral(BitwiseOr.self),
    "BitwiseXor": BinaryElementwise.integral(BitwiseXor.self),
    "Div": BinaryElementwise.arithmetic(Division.self),
    "Equal": BinaryElementwise.equal,
    "Greater": BinaryElementwise.comparison(IsGreater.self),
    "GreaterOrEqual": BinaryElementwise.comparison(IsGreaterOrEqual.self),
    "Less": BinaryElementwise.comparison(IsLess.self),
    "LessOrEqual": BinaryElementwise.comparison(IsLessOrEqual.self),
    "Max": VariadicElementwise.factory(Maximum.self),
    "Mean": VariadicElementwise.factory(Addition.self, divides: true),
    "Min": VariadicElementwise.factory(Minimum.self),
    "Mod": BinaryElementwise.mod,
    "Mul": BinaryElementwise.arithmetic(Multiplication.self),
    "Or": BinaryElementwise.logical { $0 || $1 },
    "Pow": BinaryElementwise.power,
    "Sub": BinaryElementwise.arithmetic(Subtraction.self),
    "Sum": VariadicElementwise.factory(Addition.self),
    "Where": { node throws(ModelError) in try Where(node) },
    "Xor": BinaryElementwise.logical { $0 != $1 },
  ]

  private static let functions: [String: OperatorFactory] = [
    "Abs": UnaryElementwise.sign(Absolute.self),
    "BitCast": { node throws(ModelError) in try BitCast(node) },
    "BitwiseNot": UnaryElementwise.bitwiseNot,
    "Cast": { node throws(ModelError) in try Cast(node) },
    "CastLike": Cast.like,
    "Ceil": UnaryElementwise.computed { $0.rounded(.up) },
    "Clip": { node throws(ModelError) in try Clip(node) },
    "Erf": UnaryElementwise.computed { ck_erf($0) },
    "Exp": UnaryElementwise.function(
      UnaryElementwise.floats { ck_exp_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_exp_f64($0, $1, $2) }),
    "Floor": UnaryElementwise.computed { $0.rounded(.down) },
    "Identity": { node throws(ModelError) in try UnaryElementwise.Identity(node) },
    "IsInf": UnaryElementwise.isInfinite,
    "IsNaN": UnaryElementwise.test({ $0.isNaN }, { $0.isNaN }),
    "Log": UnaryElementwise.function(
      UnaryElementwise.floats { ck_log_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_log_f64($0, $1, $2) }),
    "Neg": UnaryElementwise.sign(Negation.self),
    "Not": UnaryElementwise.not,
    "Reciprocal": UnaryElementwise.computed { 1 / $0 },
    "Round": UnaryElementwise.computed { $0.rounded(.toNearestOrEven) },
    "Sign": UnaryElementwise.sign(Signum.self),
    "Sqrt": UnaryElementwise.computed { $0.squareRoot() },
    "Tanh": UnaryElementwise.function(
      UnaryElementwise.floats { ck_tanh_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_tanh_f64($0, $1, $2) }),
  ]
}

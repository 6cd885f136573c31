internal import CKernels

extension OperatorRegistry {
  /// ai.onnx.ml
  static let machineLearningOperators: [String: OperatorFactory] = [
    "ArrayFeatureExtractor": { node throws(ModelError) in try ArrayFeatureExtractor(node) },
    "Binarizer": Binarizer.make,
    "FeatureVectorizer": { node throws(ModelError) in try FeatureVectorizer(node) },
    "Imputer": { node throws(ModelError) in try Imputer(node) },
    "LabelEncoder": { node throws(ModelError) in try LabelEncoder(node) },
    "LinearClassifier": LinearClassifier.make,
    "LinearRegressor": LinearRegressor.make,
    "Normalizer": Normalizer.make,
    "OneHotEncoder": { node throws(ModelError) in try OneHotEncoder(node) },
    "SVMClassifier": SVMClassifier.make,
    "SVMRegressor": SVMRegressor.make,
    "Scaler": { node throws(ModelError) in try Scaler(node) },
    "TreeEnsembleClassifier": TreeEnsemble.classifier,
    "TreeEnsembleRegressor": TreeEnsemble.regressor,
    "ZipMap": { node throws(ModelError) in try ZipMap(node) },
  ]

  /// ai.onnx
  static let tensorOperators: [String: OperatorFactory] =
    arithmetic.merging(functions) { $1 }.merging(movements) { $1 }
    .merging(reductions) { $1 }

  private static let arithmetic: [String: OperatorFactory] = [
    "Add": BinaryElementwise.arithmetic(+, +, { $0 &+ $1 }, { $0 &+ $1 }),
    "And": BinaryElementwise.logical { $0 && $1 },
    "Div": BinaryElementwise.arithmetic(
      /, /, { BinaryElementwise.divide($0, $1) }, { BinaryElementwise.divide($0, $1) }),
    "Equal": BinaryElementwise.comparison(==, ==, ==, ==, bools: (==), strings: (==)),
    "Greater": BinaryElementwise.comparison(
      { $0 > $1 }, { $0 > $1 }, { $0 > $1 }, { $0 > $1 }),
    "GreaterOrEqual": BinaryElementwise.comparison(
      { $0 >= $1 }, { $0 >= $1 }, { $0 >= $1 }, { $0 >= $1 }),
    "Less": BinaryElementwise.comparison(
      { $0 < $1 }, { $0 < $1 }, { $0 < $1 }, { $0 < $1 }),
    "LessOrEqual": BinaryElementwise.comparison(
      { $0 <= $1 }, { $0 <= $1 }, { $0 <= $1 }, { $0 <= $1 }),
    "Max": VariadicElementwise.factory(
      { VariadicElementwise.greater($0, $1) }, { VariadicElementwise.greater($0, $1) },
      integers: ({ max($0, $1) }, { max($0, $1) })),
    "Mean": VariadicElementwise.factory(+, +, divides: true),
    "Min": VariadicElementwise.factory(
      { VariadicElementwise.less($0, $1) }, { VariadicElementwise.less($0, $1) },
      integers: ({ min($0, $1) }, { min($0, $1) })),
    "Mod": BinaryElementwise.mod,
    "Mul": BinaryElementwise.arithmetic(*, *, { $0 &* $1 }, { $0 &* $1 }),
    "Or": BinaryElementwise.logical { $0 || $1 },
    "Pow": BinaryElementwise.power,
    "Sub": BinaryElementwise.arithmetic(-, -, { $0 &- $1 }, { $0 &- $1 }),
    "Sum": VariadicElementwise.factory(+, +),
    "Where": { node throws(ModelError) in try Where(node) },
    "Xor": BinaryElementwise.logical { $0 != $1 },
  ]

  private static let functions: [String: OperatorFactory] = [
    "Abs": UnaryElementwise.function(
      UnaryElementwise.kernel { (x: Float) in abs(x) },
      UnaryElementwise.kernel { (x: Double) in abs(x) },
      int64s: UnaryElementwise.kernel { (x: Int64) in x < 0 ? 0 &- x : x },
      int32s: UnaryElementwise.kernel { (x: Int32) in x < 0 ? 0 &- x : x }),
    "Cast": { node throws(ModelError) in try Cast(node) },
    "Ceil": UnaryElementwise.computed { $0.rounded(.up) },
    "Clip": { node throws(ModelError) in try Clip(node) },
    "Elu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 1))
      return { $0 < 0 ? alpha * (ck_exp($0) - 1) : $0 }
    },
    "Erf": UnaryElementwise.computed { ck_erf($0) },
    "Exp": UnaryElementwise.function(
      UnaryElementwise.floats { ck_exp_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_exp_f64($0, $1, $2) }),
    "Floor": UnaryElementwise.computed { $0.rounded(.down) },
    "HardSigmoid": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 0.2))
      let beta = Double(try node.float("beta", default: 0.5))
      return { $0.isNaN ? $0 : max(0, min(1, alpha * $0 + beta)) }
    },
    "Identity": { node throws(ModelError) in try UnaryElementwise.Identity(node) },
    "IsInf": UnaryElementwise.test({ $0.isInfinite }, { $0.isInfinite }),
    "IsNaN": UnaryElementwise.test({ $0.isNaN }, { $0.isNaN }),
    "LeakyRelu": UnaryElementwise.computed { node throws(ModelError) in
      let alpha = Double(try node.float("alpha", default: 0.01))
      return { $0 < 0 ? alpha * $0 : $0 }
    },
    "Log": UnaryElementwise.function(
      UnaryElementwise.floats { ck_log_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_log_f64($0, $1, $2) }),
    "Neg": UnaryElementwise.function(
      UnaryElementwise.kernel { (x: Float) in -x }, UnaryElementwise.kernel { (x: Double) in -x },
      int64s: UnaryElementwise.kernel { (x: Int64) in 0 &- x },
      int32s: UnaryElementwise.kernel { (x: Int32) in 0 &- x }),
    "Not": UnaryElementwise.not,
    "Reciprocal": UnaryElementwise.computed { 1 / $0 },
    "Relu": UnaryElementwise.function(
      UnaryElementwise.kernel { (x: Float) in x < 0 ? 0 : x },
      UnaryElementwise.kernel { (x: Double) in x < 0 ? 0 : x },
      int64s: UnaryElementwise.kernel { (x: Int64) in max(x, 0) },
      int32s: UnaryElementwise.kernel { (x: Int32) in max(x, 0) }),
    "Round": UnaryElementwise.computed { $0.rounded(.toNearestOrEven) },
    "Sigmoid": UnaryElementwise.function(
      UnaryElementwise.floats { ck_logistic_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_logistic_f64($0, $1, $2) }),
    "Sign": UnaryElementwise.function(
      UnaryElementwise.kernel { (x: Float) in x > 0 ? 1 : (x < 0 ? -1 : x) },
      UnaryElementwise.kernel { (x: Double) in x > 0 ? 1 : (x < 0 ? -1 : x) },
      int64s: UnaryElementwise.kernel { (x: Int64) in x.signum() },
      int32s: UnaryElementwise.kernel { (x: Int32) in x.signum() }),
    "Softplus": UnaryElementwise.computed { max($0, 0) + ck_log(1 + ck_exp(-abs($0))) },
    "Sqrt": UnaryElementwise.computed { $0.squareRoot() },
    "Tanh": UnaryElementwise.function(
      UnaryElementwise.floats { ck_tanh_f32($0, $1, $2) },
      UnaryElementwise.doubles { ck_tanh_f64($0, $1, $2) }),
  ]

  private static let movements: [String: OperatorFactory] = [
    "Concat": { node throws(ModelError) in try Concat(node) },
    "Constant": { node throws(ModelError) in try Constant(node) },
    "ConstantOfShape": { node throws(ModelError) in try ConstantOfShape(node) },
    "Compress": ConstantSelection.compress,
    "Expand": Repeat.expand,
    "Flatten": Reshaping.flatten,
    "Gather": { node throws(ModelError) in try Gather(node) },
    "GatherElements": { node throws(ModelError) in try GatherElements(node) },
    "GatherND": { node throws(ModelError) in try GatherND(node) },
    "NonZero": ConstantSelection.nonZero,
    "Reshape": Reshaping.reshape,
    "Shape": { node throws(ModelError) in try ShapeOf(node) },
    "Slice": { node throws(ModelError) in try Slice(node) },
    "Split": { node throws(ModelError) in try Split(node) },
    "Squeeze": Reshaping.squeeze,
    "Tile": Repeat.tile,
    "Transpose": { node throws(ModelError) in try Transpose(node) },
    "Unsqueeze": Reshaping.unsqueeze,
  ]

  private static let reductions: [String: OperatorFactory] = [
    "ArgMax": ArgExtreme.factory(isMax: true),
    "ArgMin": ArgExtreme.factory(isMax: false),
    "CumSum": { node throws(ModelError) in try CumulativeSum(node) },
    "Gemm": MatrixProduct.gemm,
    "LogSoftmax": Softmax.factory(isLog: true),
    "LpNormalization": { node throws(ModelError) in try LpNormalization(node) },
    "MatMul": MatrixProduct.matMul,
    "ReduceL1": Reduction.factory(.l1),
    "ReduceL2": Reduction.factory(.l2),
    "ReduceLogSum": Reduction.factory(.logSum),
    "ReduceLogSumExp": Reduction.factory(.logSumExp),
    "ReduceMax": Reduction.factory(.max),
    "ReduceMean": Reduction.factory(.mean),
    "ReduceMin": Reduction.factory(.min),
    "ReduceProd": Reduction.factory(.product),
    "ReduceSum": Reduction.factory(.sum, axesAreInputSince: 13),
    "ReduceSumSquare": Reduction.factory(.sumOfSquares),
    "Softmax": Softmax.factory(isLog: false),
    "TopK": { node throws(ModelError) in try TopK(node) },
  ]
}

extension OperatorRegistry {
  /// ai.onnx
  static let tensorOperators: [String: OperatorFactory] =
    elementwiseOperators.merging(movementOperators) { $1 }.merging(reductions) { $1 }
    .merging(textOperators) { $1 }

  static let movementOperators: [String: OperatorFactory] = [
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
    "CumProd": Cumulation.factory(isProduct: true),
    "CumSum": Cumulation.factory(isProduct: false),
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

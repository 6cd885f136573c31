/// A standard scaler and a one-class support vector machine (rbf), fitted elsewhere.
///
/// The file is the graph that skl2onnx makes of such a pipeline: a label (1, or -1 for an anomaly)
/// and the decision value, positive for what is usual.
package struct SensorModel: Sendable {
  package var mean: [Double]
  package var scale: [Double]
  /// One vector after the other, scaled, `mean.count` numbers each.
  package var supportVectors: [Double]
  package var dualCoefficients: [Double]
  package var intercept: Double
  package var gamma: Double

  package init(
    mean: [Double], scale: [Double], supportVectors: [Double], dualCoefficients: [Double],
    intercept: Double, gamma: Double
  ) {
    (self.mean, self.scale) = (mean, scale)
    (self.supportVectors, self.dualCoefficients) = (supportVectors, dualCoefficients)
    (self.intercept, self.gamma) = (intercept, gamma)
  }

  /// The decision in double precision: sum(dual * exp(-gamma * |sv - z|^2)) + intercept.
  package func decision(_ row: [Double], exp: (Double) -> Double) -> Double {
    let scaled = row.indices.map { (row[$0] - mean[$0]) / scale[$0] }
    var sum = intercept
    for (index, dual) in dualCoefficients.enumerated() {
      var distance = 0.0
      for feature in scaled.indices {
        let difference = supportVectors[index * scaled.count + feature] - scaled[feature]
        distance += difference * difference
      }
      sum += dual * exp(-gamma * distance)
    }
    return sum
  }

  /// The ONNX file.
  ///
  /// - Parameter featureNames: Names of the features; the input is called so where there is one.
  package func onnx(featureNames: [String]? = nil) -> [UInt8] {
    var model = OnnxWriter(opset: 18, machineLearning: 1)
    let width = Int64(mean.count)
    let input = mean.count == 1 ? featureNames?.first ?? "value" : "X"
    if let featureNames, mean.count > 1 {
      let list = featureNames.map { "\"\($0)\"" }.joined(separator: ",")
      model.metadata = [("feature_names", "[\(list)]")]
    }
    model.input(input, .float, [nil, width])
    model.node(
      "Scaler", domain: "ai.onnx.ml", name: "Scaler", [input], ["scaled"],
      [
        ("offset", .floats(mean.map(Float.init))),
        ("scale", .floats(scale.map { Float(1 / $0) })),
      ])
    model.node(
      "SVMRegressor", domain: "ai.onnx.ml", name: "SVM", ["scaled"], ["raw"],
      [
        ("coefficients", .floats(dualCoefficients.map(Float.init))),
        ("kernel_params", .floats([Float(gamma), 0, 3])),
        ("kernel_type", .string("RBF")),
        ("n_supports", .int(Int64(dualCoefficients.count))),
        ("post_transform", .string("NONE")),
        ("rho", .floats([Float(intercept)])),
        ("support_vectors", .floats(supportVectors.map(Float.init))),
      ])
    model.node("Cast", name: "Cast", ["raw"], ["scores"], [("to", .int(1))])
    model.node("Sign", name: "Sign", ["scores"], ["sign"])
    model.node("Cast", name: "Cast1", ["sign"], ["label"], [("to", .int(7))])
    model.output("label", .int64, [nil, 1])
    model.output("scores", .float, [nil, 1])
    return model.bytes()
  }
}

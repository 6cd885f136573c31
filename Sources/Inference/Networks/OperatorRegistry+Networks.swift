extension OperatorRegistry {
  /// Layers of image and language networks.
  static let networkOperators: [String: OperatorFactory] = [
    "AveragePool": Pooling.average,
    "Conv": { node throws(ModelError) in try Convolution(node) },
    "ConvTranspose": { node throws(ModelError) in try TransposedConvolution(node) },
    "GlobalAveragePool": Pooling.globalAverage,
    "GlobalLpPool": Pooling.globalNorm,
    "GlobalMaxPool": Pooling.globalMax,
    "LpPool": Pooling.norm,
    "MaxPool": Pooling.max,
  ]
}

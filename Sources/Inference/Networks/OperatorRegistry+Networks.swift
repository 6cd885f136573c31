extension OperatorRegistry {
  /// Layers of image and language networks.
  static let networkOperators: [String: OperatorFactory] = [
    "Attention": { node throws(ModelError) in try Attention(node) },
    "AveragePool": Pooling.average,
    "Conv": { node throws(ModelError) in try Convolution(node) },
    "ConvTranspose": { node throws(ModelError) in try TransposedConvolution(node) },
    "GlobalAveragePool": Pooling.globalAverage,
    "GlobalLpPool": Pooling.globalNorm,
    "GlobalMaxPool": Pooling.globalMax,
    "GridSample": { node throws(ModelError) in try GridSample(node) },
    "LpPool": Pooling.norm,
    "MaxPool": Pooling.max,
    "Resize": Resize.resize,
    "RotaryEmbedding": { node throws(ModelError) in try RotaryEmbedding(node) },
    "Upsample": Resize.upsample,
  ]
}

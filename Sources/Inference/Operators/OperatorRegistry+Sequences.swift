extension OperatorRegistry {
  /// Layers that go along a sequence.
  static let recurrentOperators: [String: OperatorFactory] = [
    "CausalConvWithState": { node throws(ModelError) in try CausalConvolution(node) },
    "GRU": Recurrence.gru,
    "LSTM": Recurrence.lstm,
    "LinearAttention": { node throws(ModelError) in try LinearAttention(node) },
    "RNN": Recurrence.plain,
    "SwiGLU": { node throws(ModelError) in try GatedSwish(node) },
  ]

  /// Numbers that small integers or floats stand for.
  static let quantizedOperators: [String: OperatorFactory] = [
    "ConvInteger": IntegerConvolution.integer,
    "DequantizeLinear": { node throws(ModelError) in try Dequantize(node) },
    "DynamicQuantizeLinear": { node throws(ModelError) in try DynamicQuantize(node) },
    "MatMulInteger": IntegerMatMul.integer,
    "QLinearConv": IntegerConvolution.scaled,
    "QLinearMatMul": IntegerMatMul.scaled,
    "QuantizeLinear": { node throws(ModelError) in try Quantize(node) },
  ]

  /// Sound and other signals.
  static let signalOperators: [String: OperatorFactory] = [
    "BlackmanWindow": SignalWindow.blackman,
    "DFT": { node throws(ModelError) in try FourierTransform(node) },
    "HammingWindow": SignalWindow.hamming,
    "HannWindow": SignalWindow.hann,
    "MelWeightMatrix": { node throws(ModelError) in try MelWeights(node) },
    "STFT": { node throws(ModelError) in try ShortFourierTransform(node) },
  ]

  /// Images at other places than their own.
  static let imageOperators: [String: OperatorFactory] = [
    "AffineGrid": { node throws(ModelError) in try AffineGrid(node) },
    "Col2Im": { node throws(ModelError) in try ImageOfColumns(node) },
    "DeformConv": { node throws(ModelError) in try DeformedConvolution(node) },
    "ImageDecoder": { node throws(ModelError) in try EncodedImage(node) },
    "MaxUnpool": { node throws(ModelError) in try MaxUnpooling(node) },
    "RoiAlign": { node throws(ModelError) in try RegionPooling(node) },
  ]
}

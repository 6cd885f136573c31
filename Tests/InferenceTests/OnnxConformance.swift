/// What of ONNX the engine does not claim, and why.
enum OnnxConformance {
  static let kinds = ["node", "simple", "pytorch-operator", "pytorch-converted"]

  /// Fewer cases passed than this were a step back.
  static let leastPassed = 1_731

  /// Where the cases' tolerance is finer than a number of 16 bits can show, a unit of its last place.
  static let lastPlace = ["bfloat16": 0x1p-7, "float16": 0x1p-10]

  /// Element types without an arithmetic of their own: storage forms of neural networks.
  static let types = [
    "float8e4m3fnuz", "float8e4m3fn", "float8e5m2fnuz", "float8e5m2", "float8e8m0", "float4e2m1",
    "uint4", "int4", "uint2", "int2", "complex64", "complex128",
  ]

  /// Parts of refusals of operators that are claimed otherwise.
  static let forms = [
    "training is not supported": "drops elements at random"
  ]

  /// Why a refusal is one; nil where nobody has said so.
  static func reason(_ refusal: String) -> String? {
    if refusal.hasPrefix("type ") { return "a storage form of neural networks" }
    if let form = forms.keys.first(where: { refusal.contains($0) }) { return forms[form] }
    let name = String(refusal.dropFirst("operator ".count))
    if name.contains(".preview.") { return "a preview of the standard" }
    let type = String(name.split(separator: ".").last ?? "")
    return groups.first { $0.operators.contains(type) }?.reason
  }

  private static let groups: [(reason: String, operators: Set<String>)] = [
    (
      "layers of image networks",
      [
        "AffineGrid", "CausalConvWithState", "Col2Im", "ConvInteger", "DeformConv",
        "ImageDecoder", "MaxUnpool", "QLinearConv", "RoiAlign",
      ]
    ),
    (
      "layers of language networks",
      ["GRU", "LSTM", "LinearAttention", "RNN", "SwiGLU"]
    ),
    ("draws random numbers", ["Bernoulli", "RandomUniformLike"]),
    (
      "sound and signals",
      ["BlackmanWindow", "DFT", "HammingWindow", "HannWindow", "MelWeightMatrix", "STFT"]
    ),
    ("regular expressions of another library", ["RegexFullMatch"]),
  ]
}

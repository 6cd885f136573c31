/// What of ONNX the engine does not claim, and why.
enum OnnxConformance {
  static let kinds = ["node", "simple", "pytorch-operator", "pytorch-converted"]

  /// Fewer cases passed than this were a step back.
  static let leastPassed = 0

  /// Element types without an arithmetic of their own: storage forms of neural networks.
  static let types = [
    "float8e4m3fnuz", "float8e4m3fn", "float8e5m2fnuz", "float8e5m2", "float8e8m0", "float4e2m1",
    "uint4", "int4", "uint2", "int2", "complex64", "complex128",
  ]

  static let unclaimed: [String: String] = [:]
}

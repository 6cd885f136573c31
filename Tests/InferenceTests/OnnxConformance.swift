/// What of ONNX the engine does not claim, and why.
enum OnnxConformance {
  static let kinds = ["node", "simple", "pytorch-operator", "pytorch-converted"]

  /// How many cases of a kind pass; fewer were a step back.
  static let leastPassed = [
    "node": 1_863, "simple": 21, "pytorch-operator": 35, "pytorch-converted": 82,
  ]

  /// What answers may differ by beside a case's tolerance, where the expected ones were themselves computed
  /// in floats and ours in doubles: sums of a hundred terms that cancel.
  static let cancellation = ["ai.onnx.DFT": 1e-6]

  /// Where the cases' tolerance is finer than a number of 16 bits can show, a unit of its last place.
  static let lastPlace = ["bfloat16": 0x1p-7, "float16": 0x1p-10]

  /// Element types that no operator here has.
  static let types = ["complex64", "complex128"]

  /// Parts of refusals of operators that are claimed otherwise.
  static let forms = [
    "training is not supported": "drops elements at random",
    "an image cannot be decoded": "an image format that networks are not fed with",
  ]

  /// Why a refusal is one; nil where nobody has said so.
  static func reason(_ refusal: String) -> String? {
    if refusal.hasPrefix("type ") { return "numbers of two parts" }
    if let form = forms.keys.first(where: { refusal.contains($0) }) { return forms[form] }
    let name = String(refusal.dropFirst("operator ".count))
    if name.contains(".preview.training.") { return "training" }
    let type = String(name.split(separator: ".").last ?? "")
    return groups.first { $0.operators.contains(type) }?.reason
  }

  private static let groups: [(reason: String, operators: Set<String>)] = [
    ("draws random numbers", ["Bernoulli", "RandomUniformLike"]),
    ("regular expressions of another library", ["RegexFullMatch"]),
  ]
}

/// ONNX's numbers for element types.
enum OnnxTypes {
  /// The name of an element type, for messages.
  static func name(_ type: Int64) -> String {
    let names = [
      "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string",
      "bool", "float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16",
    ]
    return names.indices.contains(Int(clamping: type)) ? names[Int(type)] : "\(type)"
  }
}

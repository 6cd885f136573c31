internal import Inference

/// The datatypes of the Open Inference Protocol.
enum TensorType: String, Sendable, CaseIterable {
  case bool = "BOOL"
  case uint8 = "UINT8"
  case uint16 = "UINT16"
  case uint32 = "UINT32"
  case uint64 = "UINT64"
  case int8 = "INT8"
  case int16 = "INT16"
  case int32 = "INT32"
  case int64 = "INT64"
  case fp16 = "FP16"
  case bf16 = "BF16"
  case fp32 = "FP32"
  case fp64 = "FP64"
  case bytes = "BYTES"

  /// Bytes of an element in binary data; nil for elements that say their length themselves.
  var byteCount: Int? {
    switch self {
    case .bool, .uint8, .int8: 1
    case .uint16, .int16, .fp16, .bf16: 2
    case .uint32, .int32, .fp32: 4
    case .uint64, .int64, .fp64: 8
    case .bytes: nil
    }
  }

  /// As a model's feature or output of the type is shown.
  init(_ type: ElementType) {
    self =
      switch type {
      case .float32: .fp32
      case .float64: .fp64
      case .int64: .int64
      case .bool: .bool
      case .string, .bytes: .bytes
      }
  }
}

/// The elements of a tensor, one row after the other.
enum TensorElements: Sendable {
  /// Numbers and truths, in the narrowest type of a column that holds all values of the tensor's.
  case numbers(Column.Values)
  /// UINT64, of which a column of integers holds half.
  case unsigned([UInt64])
  /// BYTES as JSON has them.
  case texts([String])
  /// BYTES as binary data.
  case blobs([[UInt8]])

  var count: Int {
    switch self {
    case .numbers(let values): values.count
    case .unsigned(let values): values.count
    case .texts(let values): values.count
    case .blobs(let values): values.count
    }
  }
}

/// A tensor of a request.
struct Tensor: Sendable {
  var name: String
  var type: TensorType
  var shape: [Int]
  var elements: TensorElements

  /// - Returns: nil where the product is beyond what memory could hold.
  static func elementCount(of shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
      let (product, isTooLarge) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !isTooLarge else { return nil }
      count = product
    }
    return count
  }
}

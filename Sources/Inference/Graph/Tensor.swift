/// The element types that the graph computes with; raw values are ONNX's own numbers.
enum TensorType: Int, Sendable, Equatable {
  case float32 = 1
  case int32 = 6
  case int64 = 7
  case string = 8
  case bool = 9
  case float64 = 11

  /// Bytes that one element takes in memory.
  var stride: Int {
    switch self {
    case .float32: MemoryLayout<Float>.stride
    case .int32: MemoryLayout<Int32>.stride
    case .int64: MemoryLayout<Int64>.stride
    case .string: MemoryLayout<String>.stride
    case .bool: MemoryLayout<Bool>.stride
    case .float64: MemoryLayout<Double>.stride
    }
  }

  var isFloatingPoint: Bool { self == .float32 || self == .float64 }
  var isNumeric: Bool { self != .string && self != .bool }

  /// ONNX's name for the type.
  var onnxName: String {
    switch self {
    case .float32: "float"
    case .int32: "int32"
    case .int64: "int64"
    case .string: "string"
    case .bool: "bool"
    case .float64: "double"
    }
  }
}

/// A Swift type that a tensor can hold.
protocol TensorElement: Sendable {
  static var tensorType: TensorType { get }
  static var zero: Self { get }
}

extension Float: TensorElement { static var tensorType: TensorType { .float32 } }
extension Double: TensorElement { static var tensorType: TensorType { .float64 } }
extension Int64: TensorElement { static var tensorType: TensorType { .int64 } }
extension Int32: TensorElement { static var tensorType: TensorType { .int32 } }
extension Bool: TensorElement {
  static var tensorType: TensorType { .bool }
  static var zero: Bool { false }
}
extension String: TensorElement {
  static var tensorType: TensorType { .string }
  static var zero: String { "" }
}

/// Memory for elements of one type, zeroed; freed with its last reference.
///
/// It may be shared between threads once nothing writes to it any more.
final class TensorBuffer: @unchecked Sendable {
  let type: TensorType
  let capacity: Int
  let base: UnsafeMutableRawPointer

  init(_ type: TensorType, capacity: Int) {
    (self.type, self.capacity) = (type, capacity)
    let byteCount = max(capacity, 1) * type.stride
    base = .allocate(byteCount: byteCount, alignment: 64)
    if type == .string {
      base.initializeMemory(as: String.self, repeating: "", count: capacity)
    } else {
      base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }
  }

  deinit {
    if type == .string {
      base.assumingMemoryBound(to: String.self).deinitialize(count: capacity)
    }
    base.deallocate()
  }
}

/// A constant of the graph: elements in row-major order, never written again.
struct Tensor: Sendable {
  let dims: [Int]
  let buffer: TensorBuffer

  var type: TensorType { buffer.type }
  var count: Int { buffer.capacity }

  /// `dims` must multiply to the number of values.
  init<T: TensorElement>(_ values: [T], dims: [Int]? = nil) {
    self.dims = dims ?? [values.count]
    buffer = TensorBuffer(T.tensorType, capacity: values.count)
    let target = buffer.base.assumingMemoryBound(to: T.self)
    for (index, value) in values.enumerated() { target[index] = value }
  }

  init(dims: [Int], buffer: TensorBuffer) {
    (self.dims, self.buffer) = (dims, buffer)
  }

  /// The elements as an array; `T` must be the tensor's type.
  func values<T: TensorElement>(as type: T.Type = T.self) -> [T] {
    precondition(T.tensorType == self.type)
    return Array(
      UnsafeBufferPointer(start: buffer.base.assumingMemoryBound(to: T.self), count: count))
  }

  /// The elements of any numeric or boolean tensor as doubles; nil for strings.
  var doubles: [Double]? {
    switch type {
    case .float32: values(as: Float.self).map(Double.init)
    case .float64: values(as: Double.self)
    case .int32: values(as: Int32.self).map(Double.init)
    case .int64: values(as: Int64.self).map(Double.init)
    case .bool: values(as: Bool.self).map { $0 ? 1 : 0 }
    case .string: nil
    }
  }

  /// The elements of an integer tensor; nil for other types.
  var integers: [Int]? {
    switch type {
    case .int32: values(as: Int32.self).map(Int.init)
    case .int64: values(as: Int64.self).map(Int.init)
    default: nil
    }
  }

  var view: TensorView { TensorView(type: type, dims: dims, base: buffer.base) }
}

/// Where an operator finds an input or leaves an output, for the rows at hand.
///
/// Elements are in row-major order without gaps. The memory belongs to the plan or its frame.
struct TensorView {
  let type: TensorType
  let dims: [Int]
  let count: Int
  let base: UnsafeMutableRawPointer

  init(type: TensorType, dims: [Int], base: UnsafeMutableRawPointer) {
    (self.type, self.dims, self.base) = (type, dims, base)
    count = dims.reduce(1, *)
  }

  /// The elements; `T` must be the tensor's type.
  func pointer<T: TensorElement>(as type: T.Type = T.self) -> UnsafeMutablePointer<T> {
    precondition(T.tensorType == self.type)
    return base.assumingMemoryBound(to: T.self)
  }

  var floats: UnsafeMutablePointer<Float> { pointer() }
  var doubles: UnsafeMutablePointer<Double> { pointer() }
  var int64s: UnsafeMutablePointer<Int64> { pointer() }
  var int32s: UnsafeMutablePointer<Int32> { pointer() }
  var bools: UnsafeMutablePointer<Bool> { pointer() }
  var strings: UnsafeMutablePointer<String> { pointer() }
}

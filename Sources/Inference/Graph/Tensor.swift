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
    if type == .float64 { return values() }
    // The weights of most models: converted without a call for each.
    if type == .float32 {
      return UnsafeBufferPointer(start: view.floats, count: count).map { Double($0) }
    }
    guard let element = type.element as? any NumericElement.Type else { return nil }
    func read<T: NumericElement>(_ type: T.Type) -> [Double] {
      UnsafeBufferPointer(start: view.pointer(as: T.self), count: count).map { $0.double }
    }
    return read(element)
  }

  /// The elements of an integer tensor, clamped to 64 bits with a sign; nil for other types.
  var integers: [Int]? {
    guard let element = type.integer else { return nil }
    func read<T: IntegerElement>(_ type: T.Type) -> [Int] {
      UnsafeBufferPointer(start: view.pointer(as: T.self), count: count).map {
        Int(clamping: $0)
      }
    }
    return read(element)
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

extension TensorView {
  /// An element of an integer tensor, clamped to 64 bits with a sign; 0 for other types.
  func integer(_ index: Int) -> Int {
    switch type {
    case .int64: Int(int64s[index])
    case .int32: Int(int32s[index])
    case .int16: Int(pointer(as: Int16.self)[index])
    case .int8: Int(pointer(as: Int8.self)[index])
    case .uint64: Int(clamping: pointer(as: UInt64.self)[index])
    case .uint32: Int(pointer(as: UInt32.self)[index])
    case .uint16: Int(pointer(as: UInt16.self)[index])
    case .uint8: Int(pointer(as: UInt8.self)[index])
    default: 0
    }
  }

  /// A numeric or boolean element as a double; NaN for text.
  func double(_ index: Int) -> Double {
    switch type {
    case .float32: Double(floats[index])
    case .float64: doubles[index]
    case .float16: pointer(as: Half.self)[index].double
    case .bfloat16: pointer(as: BFloat16.self)[index].double
    case .bool: bools[index] ? 1 : 0
    case .string: .nan
    case .uint64: Double(pointer(as: UInt64.self)[index])
    case .int64, .int32, .int16, .int8, .uint32, .uint16, .uint8: Double(integer(index))
    default: stored(index)
    }
  }

  /// Writes a number as the tensor's type has it; nothing for text.
  func set(_ index: Int, _ value: Double) {
    switch type {
    case .float32: floats[index] = Float(value)
    case .float64: doubles[index] = value
    case .float16: pointer(as: Half.self)[index] = Half(converting: value)
    case .bfloat16: pointer(as: BFloat16.self)[index] = BFloat16(converting: value)
    case .bool: bools[index] = value != 0
    case .int64: int64s[index] = Int64(converting: value)
    case .int32: int32s[index] = Int32(converting: value)
    case .int16: pointer(as: Int16.self)[index] = Int16(converting: value)
    case .int8: pointer(as: Int8.self)[index] = Int8(converting: value)
    case .uint64: pointer(as: UInt64.self)[index] = UInt64(converting: value)
    case .uint32: pointer(as: UInt32.self)[index] = UInt32(converting: value)
    case .uint16: pointer(as: UInt16.self)[index] = UInt16(converting: value)
    case .uint8: pointer(as: UInt8.self)[index] = UInt8(converting: value)
    case .string: break
    default: setStored(index, value, saturates: true)
    }
  }

  private func stored(_ index: Int) -> Double {
    guard let type = type.stored else { return .nan }
    return type.init(bitPattern: base.assumingMemoryBound(to: UInt8.self)[index]).double
  }

  /// Writes a number of a type that is stored alone.
  func setStored(_ index: Int, _ value: Double, saturates: Bool) {
    guard let type = type.stored else { return }
    base.assumingMemoryBound(to: UInt8.self)[index] =
      type.init(converting: value, saturates: saturates).bitPattern
  }
}

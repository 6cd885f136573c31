extension InputReader {
  /// Makes an image a row into the input. One that cannot be read is a failure, and zeros its values.
  func readImages(
    _ columns: UnsafeBufferPointer<Column>,
    _ slots: UnsafeBufferPointer<GraphPredictor.FeatureSlot>, _ rows: Range<Int>,
    into frame: Frame, _ workspace: ImageWorkspace
  ) {
    let slot = slots[features.lowerBound]
    guard let reader = slot.image, case .bytes(let images) = columns[features.lowerBound].values
    else { return }
    let column = columns[features.lowerBound]
    let count = slot.width
    workspace.places.removeAll(keepingCapacity: true)
    for (offset, row) in rows.enumerated() {
      workspace.places.append(nil)
      let place = InputPlace(
        base: frame.inputBases[input] + offset * count * slot.type.stride, type: slot.type,
        count: count)
      guard slot.isRead, !column.isNull(row) else {
        place.clear()
        if slot.isRead {
          frame.failures.add(row: offset, .missing, FeatureReader.missingReason(slot))
        }
        continue
      }
      let fault = images[row].withUnsafeBufferPointer { place.read($0, reader, workspace) }
      if let fault {
        place.clear()
        frame.failures.add(row: offset, .badImage, "feature \"\(slot.name)\": \(fault.reason)")
      } else {
        workspace.places[offset] = workspace.place
      }
    }
  }
}

/// One row's elements of an input.
private struct InputPlace {
  let base: UnsafeMutableRawPointer
  let type: TensorType
  let count: Int

  func clear() { base.initializeMemory(as: UInt8.self, repeating: 0, count: count * type.stride) }

  func read(
    _ bytes: UnsafeBufferPointer<UInt8>, _ reader: ImageReader, _ workspace: ImageWorkspace
  ) -> ImageFault? {
    if type == .float32 {
      return reader.read(
        bytes, into: base.assumingMemoryBound(to: Float.self), workspace: workspace)
    }
    if workspace.values.count < count { workspace.values = Array(repeating: 0, count: count) }
    return workspace.values.withUnsafeMutableBufferPointer { values in
      guard let floats = values.baseAddress else { return nil }
      if let fault = reader.read(bytes, into: floats, workspace: workspace) { return fault }
      convert(floats)
      return nil
    }
  }

  /// Rounds to the input's type; what is beyond an integer type is its least or greatest value.
  private func convert(_ values: UnsafeMutablePointer<Float>) {
    switch type {
    case .float64:
      let target = base.assumingMemoryBound(to: Double.self)
      for index in 0..<count { target[index] = Double(values[index]) }
    case .float16:
      let target = base.assumingMemoryBound(to: Half.self)
      for index in 0..<count { target[index] = Half(values[index]) }
    case .bfloat16:
      let target = base.assumingMemoryBound(to: BFloat16.self)
      for index in 0..<count { target[index] = BFloat16(values[index]) }
    case .uint8:
      let target = base.assumingMemoryBound(to: UInt8.self)
      for index in 0..<count { target[index] = UInt8(max(0, min(255, values[index].rounded()))) }
    default: break
    }
  }
}

extension TensorType {
  /// The types of input that images become.
  var takesImages: Bool {
    switch self {
    case .float32, .float64, .float16, .bfloat16, .uint8: true
    default: false
    }
  }
}

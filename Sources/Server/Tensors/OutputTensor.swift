internal import Foundation
internal import Inference

/// An output of predictions as a tensor: its columns side by side.
struct OutputTensor {
  let name: String
  private(set) var type: TensorType
  private(set) var shape: [Int]
  private let columns: [Column]
  private let rowCount: Int
  private let classes: [String]?
  /// What the highest classes are, where these were asked for.
  private var ranking: [String]?

  init(_ output: TensorPlan.Output, _ columns: [Column], rowCount: Int) {
    name = output.name
    self.columns = output.columns.map { columns[$0] }
    self.rowCount = rowCount
    classes = output.classes
    // Sizes that were open are known now.
    let inner = output.columns.count == 1 ? columns[output.columns[0]].shape : output.shape
    shape = [rowCount] + inner
    type = output.type
  }

  /// Replaces the values by the highest `count` of each row, as `value:index:class`.
  mutating func classify(_ count: Int) throws(Problem) {
    let width = shape.dropFirst().reduce(1, *)
    guard let values = numbers, width > 0, type != .bool else {
      throw .badRequest("output \"\(name)\" has no values to rank")
    }
    let kept = min(count, width)
    var ranking: [String] = []
    ranking.reserveCapacity(kept * rowCount)
    for row in 0..<rowCount {
      let order = (0..<width).sorted {
        let (a, b) = (values(row, $0), values(row, $1))
        return a > b || a == b && $0 < $1
      }
      for index in order.prefix(kept) {
        let label = classes.map { ":\($0[index])" } ?? ""
        ranking.append("\(Self.fixed(values(row, index))):\(index)\(label)")
      }
    }
    self.ranking = ranking
    type = .bytes
    shape = [rowCount, kept]
  }

  /// Six digits behind the point, as others write it.
  private static func fixed(_ value: Double) -> String { String(format: "%f", value) }

  /// The value at a row and a place within it; nil for what is not numbers.
  private var numbers: ((Int, Int) -> Double)? {
    let columns = columns
    let width = columns.count == 1 ? max(columns[0].width, 1) : 1
    for column in columns {
      switch column.values {
      case .string, .bytes: return nil
      default: continue
      }
    }
    return columns.count == 1
      ? { columns[0].number($0 * width + $1) ?? 0 } : { columns[$1].number($0) ?? 0 }
  }
}

// MARK: - Writing

extension OutputTensor {
  /// The elements flat, row by row.
  func appendJSON(to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "["))
    var isFirst = true
    forEachElement { column, index in
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      JSONText.append(column, index, to: &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  func appendBinary(to bytes: inout [UInt8]) {
    forEachElement { column, index in
      switch column.values {
      case .int16(let v): Self.append(v[index], as: type, &bytes)
      case .int32(let v): Self.append(v[index], as: type, &bytes)
      case .int64(let v): Self.append(v[index], as: type, &bytes)
      case .float32(let v):
        if type == .fp64 {
          Self.append(Double(v[index]).bitPattern, &bytes)
        } else {
          Self.append(v[index].bitPattern, &bytes)
        }
      case .float64(let v):
        if type == .fp32 {
          Self.append(Float(v[index]).bitPattern, &bytes)
        } else {
          Self.append(v[index].bitPattern, &bytes)
        }
      case .bool(let v): bytes.append(v[index] ? 1 : 0)
      case .string(let v): Self.append(Array(v[index].utf8), &bytes)
      case .bytes(let v): Self.append(v[index], &bytes)
      }
    }
  }

  private func forEachElement(_ body: (Column, Int) -> Void) {
    if let ranking {
      let column = Column(.string(ranking))
      for index in ranking.indices { body(column, index) }
    } else if columns.count == 1 {
      for index in 0..<columns[0].values.count { body(columns[0], index) }
    } else {
      for row in 0..<rowCount { for column in columns { body(column, row) } }
    }
  }

  private static func append(
    _ value: some FixedWidthInteger, as type: TensorType, _ bytes: inout [UInt8]
  ) {
    if type == .int64 { append(Int64(value), &bytes) } else { append(value, &bytes) }
  }

  private static func append(_ value: some FixedWidthInteger, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ blob: [UInt8], _ bytes: inout [UInt8]) {
    append(UInt32(blob.count), &bytes)
    bytes += blob
  }
}

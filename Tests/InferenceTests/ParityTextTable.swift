import Inference

/// Text cells by column, as PostgreSQL's CSV has them: nil is NULL, `""` the empty string.
struct TextTable {
  var header: [String]
  var rows: [[String?]]

  init(csv: String) throws {
    var records: [[String?]] = []
    var record: [String?] = []
    var cell = ""
    var isQuoted = false
    var wasQuoted = false
    var text = csv.unicodeScalars.makeIterator()
    var pushed: Unicode.Scalar?
    func endCell() {
      record.append(cell.isEmpty && !wasQuoted ? nil : cell)
      (cell, wasQuoted) = ("", false)
    }
    while let next = pushed ?? text.next() {
      pushed = nil
      if isQuoted {
        guard next == "\"" else {
          cell.unicodeScalars.append(next)
          continue
        }
        pushed = text.next()
        if pushed == "\"" {
          cell.unicodeScalars.append("\"")
          pushed = nil
        } else {
          isQuoted = false
        }
      } else if next == "\"" {
        (isQuoted, wasQuoted) = (true, true)
      } else if next == "," {
        endCell()
      } else if next == "\n" {
        endCell()
        records.append(record)
        record = []
      } else {
        cell.unicodeScalars.append(next)
      }
    }
    guard let first = records.first, !isQuoted, record.isEmpty, cell.isEmpty else {
      throw ParityError("the CSV does not end with a whole line")
    }
    for (number, record) in records.enumerated() where record.count != first.count {
      throw ParityError("line \(number + 1) has \(record.count) cells of \(first.count)")
    }
    header = first.map { $0 ?? "" }
    rows = Array(records.dropFirst())
  }

  func column(_ name: String) throws -> [String?] {
    guard let index = header.firstIndex(of: name) else {
      throw ParityError("no column \"\(name)\" among \(header)")
    }
    return rows.map { $0[index] }
  }
}

struct ParityError: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

extension Column {
  /// A column of the type from the text of its cells.
  init(_ cells: [String?], as type: ElementType) throws {
    func parsed<T>(_ empty: T, _ parse: (String) -> T?) throws -> [T] {
      try cells.map { cell in
        guard let cell else { return empty }
        guard let value = parse(cell) else {
          throw ParityError("\"\(cell)\" is not a \(type.rawValue)")
        }
        return value
      }
    }
    let values: Values =
      switch type {
      case .float32: .float32(try parsed(0, Float.init))
      case .float64: .float64(try parsed(0, Double.init))
      case .int64: .int64(try parsed(0) { Int64($0) })
      case .bool: .bool(try parsed(false) { Bool($0) })
      case .string: .string(try parsed("") { $0 })
      case .bytes: throw ParityError("columns of images have no table")
      }
    self.init(values, nulls: Self.nulls(cells.indices.filter { cells[$0] == nil }, of: cells.count))
  }

  /// The rows of a range, as a column of their own.
  func slice(_ rows: Range<Int>) -> Column {
    let part: Values =
      switch values {
      case .int16(let all): .int16(Array(all[rows]))
      case .int32(let all): .int32(Array(all[rows]))
      case .int64(let all): .int64(Array(all[rows]))
      case .float32(let all): .float32(Array(all[rows]))
      case .float64(let all): .float64(Array(all[rows]))
      case .bool(let all): .bool(Array(all[rows]))
      case .string(let all): .string(Array(all[rows]))
      case .bytes(let all): .bytes(Array(all[rows]))
      }
    let missing = rows.filter { isNull($0) }.map { $0 - rows.lowerBound }
    return Column(part, nulls: Self.nulls(missing, of: rows.count))
  }

  /// The same numbers in double precision, where they are single.
  var widened: Column {
    if case .float32(let all) = values {
      Column(.float64(all.map(Double.init)), nulls: nulls)
    } else {
      self
    }
  }

  private static func nulls(_ rows: [Int], of count: Int) -> [UInt64]? {
    if rows.isEmpty { return nil }
    var words = [UInt64](repeating: 0, count: (count + 63) / 64)
    for row in rows { words[row >> 6] |= 1 << UInt64(row & 63) }
    return words
  }

  /// The value's bits, or its text: equal only where the values are the same to the last bit.
  func exact(_ row: Int) -> String {
    switch values {
    case .int16(let all): "\(all[row])"
    case .int32(let all): "\(all[row])"
    case .int64(let all): "\(all[row])"
    case .float32(let all): "\(all[row].bitPattern)"
    case .float64(let all): "\(all[row].bitPattern)"
    case .bool(let all): "\(all[row])"
    case .string(let all): all[row]
    case .bytes(let all): "\(all[row])"
    }
  }
}

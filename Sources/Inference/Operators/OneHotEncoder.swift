/// OneHotEncoder: a 1 in the place of the element's category.
///
/// An element of none of the categories becomes zeros, or, where the model forbids those
/// (`zeros` is 0), makes its row a failure. Numbers that are no integers lose their fraction first.
struct OneHotEncoder: Operator {
  let outputs: [ValueInfo]
  private let categories: Categories
  private let count: Int
  private let allowsUnseen: Bool
  /// Elements of a row of the input.
  private let width: Int
  private let source: String

  private enum Categories: Sendable {
    case ints([Int64: Int])
    case strings([String: Int])
  }

  init(_ node: Node) throws(ModelError) {
    let info = try node.input(0)
    let ints = try node.ints("cats_int64s") ?? []
    let strings = try node.strings("cats_strings") ?? []
    guard ints.isEmpty != strings.isEmpty else {
      throw node.error(.malformed, "wants either cats_int64s or cats_strings")
    }
    guard (info.type == .string) == ints.isEmpty, info.type != .bool else {
      throw node.error(
        .malformed, "input of type \(info.type.onnxName) does not fit the categories")
    }
    // Of equal categories the last counts, as in a map that is filled in order.
    if ints.isEmpty {
      categories = .strings(
        Dictionary(zip(strings, 0...), uniquingKeysWith: { $1 }))
    } else {
      categories = .ints(Dictionary(zip(ints.map(Int64.init), 0...), uniquingKeysWith: { $1 }))
    }
    count = ints.count + strings.count
    allowsUnseen = try node.int("zeros", default: 1) != 0
    width = info.shape.elementCount
    source = node.feature.map { "feature \"\($0)\"" } ?? "node \"\(node.name)\""
    outputs = [
      try node.output(.float32, Shape(info.shape.dims + [count], rowAxis: info.shape.rowAxis))
    ]
  }

  func run(_ call: Call) {
    let input = call.input(0)
    let target = call.output(0).floats
    target.update(repeating: 0, count: input.count * count)
    switch categories {
    case .strings(let places):
      let source = input.strings
      encode(call, input.count) { places[source[$0]] }
    case .ints(let places):
      switch input.type {
      case .int64:
        let source = input.int64s
        encode(call, input.count) { places[source[$0]] }
      case .float32:
        let source = input.floats
        encode(call, input.count) { Self.whole(Double(source[$0])).flatMap { places[$0] } }
      default:
        encode(call, input.count) { Self.whole(input.double($0)).flatMap { places[$0] } }
      }
    }
  }

  /// The number without its fraction, as a C cast has it; nil where there is none.
  private static func whole(_ value: Double) -> Int64? {
    Int64(exactly: value.rounded(.towardZero))
  }

  @inline(__always)
  private func encode(_ call: Call, _ elements: Int, _ place: (Int) -> Int?) {
    let target = call.output(0).floats
    for i in 0..<elements {
      if let place = place(i) {
        target[i * count + place] = 1
      } else if !allowsUnseen {
        call.failures.add(
          row: i / max(width, 1), .unseenCategory,
          "\(source) has a category that was not seen in training")
      }
    }
  }
}

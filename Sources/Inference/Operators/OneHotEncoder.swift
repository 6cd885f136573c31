/// OneHotEncoder: a 1 in the place of the element's category.
///
/// An element of none of the categories becomes zeros, or, where the model forbids those
/// (`zeros` is 0), makes its row a failure. Numbers that are no integers lose their fraction first.
struct OneHotEncoder: Operator {
  let outputs: [ValueInfo]
  let table: CategoryTable
  let count: Int
  private let allowsUnseen: Bool
  /// Elements of a row of the input.
  private let width: Int
  private let source: String

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
    table =
      ints.isEmpty
      ? try CategoryTable(texts: strings) : CategoryTable(numbers: ints.map(Int64.init))
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
    for i in 0..<input.count {
      if let place = table.place(of: input, at: i) {
        target[i * count + place] = 1
      } else {
        reportUnseen(call, row: i / max(width, 1))
      }
    }
  }

  /// A row with none of the categories is a failure where the model forbids that.
  func reportUnseen(_ call: Call, row: Int) {
    guard !allowsUnseen else { return }
    call.failures.add(
      row: row, .unseenCategory, "\(source) has a category that was not seen in training")
  }
}

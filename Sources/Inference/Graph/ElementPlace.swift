/// Where an element of each row is in a value's memory.
struct ElementPlace: Sendable, Equatable {
  var element: Int
  /// Elements of a row.
  var width: Int
  /// True where the value has all rows of an element together, false where it has rows together.
  var isColumn = false

  @inline(__always)
  func index(row: Int, rows: Int) -> Int {
    isColumn ? element * rows + row : row * width + element
  }

  /// Where the first row's element is, and how far the next row's is from it.
  func span(rows: Int) -> (start: Int, step: Int) {
    isColumn ? (element * rows, 1) : (element, width)
  }
}

/// An operator that can read inputs that are laid out feature by feature.
protocol ReadsColumns: Operator {
  /// The same operator, with an input laid out feature by feature.
  func readingColumns(input: Int) -> any Operator
}

extension Graph {
  /// Lays out inputs feature by feature, as batches have them, where all that read them can take them
  /// so: nothing has to be turned into rows then.
  mutating func takeColumns() {
    let links = GraphLinks(self)
    let returned = Set(outputs.map(\.value))
    for input in inputs {
      let shape = values[input.value].shape
      let readers = Set(links.readers(of: input.value))
      guard shape.rank == 2, shape.rowAxis == 0, shape.dims[0] == 1,
        !returned.contains(input.value),
        readers.allSatisfy({ steps[$0].operation is any ReadsColumns })
      else { continue }
      turn(input.value)
      for index in readers {
        var step = steps[index]
        for (position, value) in step.inputs.enumerated() where value == input.value {
          guard let reader = step.operation as? any ReadsColumns else { continue }
          step = Step(
            name: step.name, operation: reader.readingColumns(input: position),
            inputs: step.inputs, outputs: step.outputs, type: step.type)
        }
        replaceStep(index, with: step)
      }
    }
  }
}

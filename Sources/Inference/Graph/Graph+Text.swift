extension Graph {
  /// Joins what cuts texts with what counts their tokens, so that tokens are never laid out.
  ///
  /// - Throws: `.unsupported` where tokens are needed for anything else.
  mutating func fuseText() throws(ModelError) {
    let links = GraphLinks(self)
    for (index, step) in steps.enumerated() {
      guard let vectorizer = step.operation as? TfIdfVectorizer, let input = step.inputs[0],
        values[input].isRagged
      else { continue }
      let tokens = original(of: input, links)
      guard let maker = links.maker(of: tokens),
        let tokenizer = steps[maker].operation as? Tokenizer, let cut = steps[maker].inputs[0],
        values[cut].shape.elementCount == 1
      else {
        throw ModelError(
          .unsupported,
          "tokens of more than one text a row are not supported (node \"\(step.name)\")")
      }
      var text = original(of: cut, links)
      var change = TextCase(.none)
      if let maker = links.maker(of: text),
        let normalizer = steps[maker].operation as? StringNormalizer,
        let before = steps[maker].inputs[0]
      {
        (change, text) = (normalizer.change, original(of: before, links))
      }
      let (source, place) = element(0, of: text, links)
      replaceStep(
        index,
        with: Step(
          name: step.name,
          operation: TextVectorizer(
            vectorizer.outputs[0],
            TextTerms(change: change, tokenizer: tokenizer, counter: vectorizer.counter),
            source: place),
          inputs: [source], outputs: step.outputs))
    }
    removeUnread()
    for step in steps where step.outputs.contains(where: { values[$0].isRagged }) {
      throw ModelError(
        .unsupported,
        "rows of different numbers of tokens are counted only by TfIdfVectorizer "
          + "(node \"\(step.name)\")")
    }
  }

  /// The value that a view shows.
  func original(of value: Int, _ links: GraphLinks) -> Int {
    var value = value
    while let maker = links.maker(of: value), steps[maker].operation.isView,
      let input = steps[maker].inputs[0]
    {
      value = input
    }
    return value
  }

  /// Where an element of a row comes from, through views and the picking of constant places.
  func element(_ element: Int, of value: Int, _ links: GraphLinks) -> (value: Int, ElementPlace) {
    let value = original(of: value, links)
    guard let maker = links.maker(of: value), let input = steps[maker].inputs[0],
      let places = (steps[maker].operation as? any PicksElements)?.pickedElements,
      values[input].shape.isRowMajor
    else {
      return (value, ElementPlace(element: element, width: values[value].shape.elementCount))
    }
    return self.element(places[element], of: input, links)
  }
}

/// An operator whose output's rows are made of elements of the same row of input 0.
protocol PicksElements: Operator {
  /// For each element of a row its place in the input's row; nil where that is not all it does.
  var pickedElements: [Int]? { get }
}

/// Scores texts by a network of tokens.
///
/// A text is padded to a length that depends on its own tokens alone, and runs with others of that
/// length: what its neighbours are changes nothing. The lengths are few, so that plans are kept, and
/// near enough to each other that at most a fifth of the work is padding in texts of 40 tokens and more.
final class TextPredictor: Predictor {
  private let tokenizer: SubwordTokenizer
  private let inputs: TextInputs
  private let network: any Predictor
  private let answer: TextAnswer
  private let mostTokens: Int
  var isNetwork: Bool { true }

  /// Places of a batch of the network; more only take memory.
  private static let mostPlaces = 4096

  init(
    _ tokenizer: SubwordTokenizer, inputs: TextInputs, mostTokens: Int, answer: TextAnswer,
    network: any Predictor
  ) {
    (self.tokenizer, self.inputs, self.mostTokens) = (tokenizer, inputs, mostTokens)
    (self.answer, self.network) = (answer, network)
  }

  func predict(_ batch: Batch, workspace: Workspace) throws(ModelError) -> Predictions {
    guard case .string(let texts) = batch.columns[0].values else {
      throw ModelError(.mismatch, "feature \"\(TextNetwork.feature)\" is a text, its column is not")
    }
    let scratch = workspace.tokenizing ?? TokenizerScratch()
    workspace.tokenizing = scratch
    var failures: [Int: Predictions.Failure] = [:]
    var groups: [Int: [(row: Int, text: SubwordTokenizer.Encoding)]] = [:]
    for row in 0..<batch.rowCount {
      if batch.columns[0].isNull(row) {
        failures[row] = .init(
          row: row, code: .missing, reason: "feature \"\(TextNetwork.feature)\" is missing")
        continue
      }
      let text = tokenizer.encode(texts[row], limit: mostTokens, scratch)
      guard !text.ids.isEmpty else {
        failures[row] = .init(
          row: row, code: .missing, reason: "feature \"\(TextNetwork.feature)\" has no tokens")
        continue
      }
      groups[length(text.ids.count), default: []].append((row, text))
    }
    var collected = answer.collector(rowCount: batch.rowCount)
    for (length, group) in groups.sorted(by: { $0.key < $1.key }) {
      let most = max(Self.mostPlaces / length, 1)
      var start = 0
      while start < group.count {
        let part = group[start..<min(start + most, group.count)]
        let columns = inputs.columns(part.map(\.text), length: length, tokenizer)
        let predictions = try network.predict(
          Batch(rowCount: part.count, columns: columns), workspace: workspace)
        for failure in predictions.failures {
          let row = part[start + failure.row].row
          failures[row] = .init(row: row, code: failure.code, reason: failure.reason)
        }
        try answer.take(
          predictions, rows: part.map(\.row), tokens: part.map(\.text.ids.count), length: length,
          padsLeft: tokenizer.padsLeft, into: &collected)
        start += part.count
      }
    }
    return Predictions(
      columns: answer.columns(collected), failures: failures.values.sorted { $0.row < $1.row })
  }

  /// The places that a text of so many tokens takes.
  private func length(_ count: Int) -> Int {
    if let fixed = inputs.fixedLength { return fixed }
    guard inputs.hasMask else { return count }
    let step =
      switch count {
      case ...64: 8
      case ...128: 16
      case ...512: 32
      default: 64
      }
    return max(min((count + step - 1) / step * step, mostTokens), count)
  }
}

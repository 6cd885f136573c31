internal import HTTPTypes
internal import Inference
internal import Scoring

/// A service with the model that answers for it now: what stands beside an input, and which output ranks.
struct ServicePlan: Sendable {
  private let features: [Signature.Feature]
  private let outputs: [Signature.Output]
  private let input: Int
  /// Columns of candidates, by feature; nil at the input.
  private let columns: [Column?]
  /// As answers begin for each candidate: `[3, 7`; nil where the service has no candidates.
  private let places: [[UInt8]]?
  private let rowCount: Int

  /// - Throws: 422 where the service does not fit the model.
  init(_ service: Catalog.Service, _ signature: Signature) throws(Problem) {
    features = signature.features
    outputs = signature.outputs
    let given = try Self.members(of: service.candidates)
    let open = signature.features.indices.filter {
      let feature = signature.features[$0]
      return service.input.map { $0 == feature.name }
        ?? (!given.contains(feature.name) && [.string, .bytes].contains(feature.type)
          && feature.shape == nil)
    }
    guard open.count == 1 else {
      throw Self.unfit(
        service,
        service.input.map { "model \"\(service.model)\" has no feature \"\($0)\"" }
          ?? "\(open.count) features of model \"\(service.model)\" may be the input")
    }
    input = open[0]
    guard let lines = service.candidates, let places = service.places, !lines.isEmpty else {
      guard service.candidates == nil else { throw Self.unfit(service, "it has no candidates") }
      guard signature.features.count == 1 else {
        throw Self.unfit(service, "model \"\(service.model)\" has other features than the input")
      }
      columns = [nil]
      self.places = nil
      rowCount = 1
      return
    }
    var others = signature.features
    others.remove(at: input)
    let records: RecordRequest
    do throws(ScoringError) {
      records = try RecordRequest(
        Array(lines.utf8), format: .ndjson,
        signature: Signature(features: others, outputs: []))
    } catch {
      throw Self.unfit(service, "its candidates: \(error.message)")
    }
    if let reason = records.failures(in: Predictions(columns: [])).values.first {
      throw Self.unfit(service, "its candidates: \(reason)")
    }
    var columns: [Column?] = records.batch.columns
    columns.insert(nil, at: input)
    self.columns = columns
    rowCount = records.rowCount
    self.places = places.split(separator: "\n").map { Array($0.utf8.dropLast()) }
    guard self.places?.count == rowCount else {
      throw Self.unfit(service, "its candidates are not all identified")
    }
  }

  private static func unfit(_ service: Catalog.Service, _ why: String) -> Problem {
    Problem(.unprocessableContent, "unfit_service", "service \"\(service.name)\": \(why)")
  }

  /// Names of the members of the first line.
  private static func members(of lines: String?) throws(Problem) -> Set<String> {
    guard let first = lines?.prefix(while: { $0 != "\n" }) else { return [] }
    var names: Set<String> = []
    do throws(ModelError) {
      var reader = JSONReader(Array(first.utf8), limits: ModelLimits())
      try reader.object { reader, name throws(ModelError) in
        names.insert(name)
        try reader.skip()
      }
    } catch {
      throw Problem(error)
    }
    return names
  }

  // MARK: Asking

  var wantsImage: Bool { features[input].type == .bytes }

  /// The input beside each candidate.
  func batch(_ content: ServiceInput.Content) throws(Problem) -> Batch {
    let own: Column
    switch (features[input].type, content) {
    case (.string, .text(let text)):
      // The same question has the same answer in a table, or none.
      guard !text.utf8.contains(0) else {
        throw .badRequest("the text has a character 0, which no text in PostgreSQL has")
      }
      own = Column(.string(Array(repeating: text, count: rowCount)))
    case (.bytes, .image(let bytes)):
      own = Column(.bytes(Array(repeating: bytes, count: rowCount)))
    case (.string, .image): throw .badRequest("the service wants a text, not an image")
    default: throw .badRequest("the service wants an image, not a text")
    }
    return Batch(rowCount: rowCount, columns: columns.map { $0 ?? own })
  }

  /// The answers, best first: `[[id, …, score], …]` of candidates, `[[category, score], …]` of classes.
  func answer(_ predictions: Predictions, most: Int?) throws(Problem) -> [UInt8] {
    if let failure = predictions.failures.first {
      throw Problem(.unprocessableContent, failure.code.rawValue, failure.reason)
    }
    var entries: [Entry]
    if let places {
      guard let ranking else {
        throw Problem(.unprocessableContent, "unfit_model", "the model has no output to rank by")
      }
      let column = predictions.columns[ranking]
      entries = places.indices.map { Entry(head: places[$0], column: column, index: $0) }
    } else {
      entries = categories(predictions)
    }
    let scores = entries.map(\.score)
    let order = entries.indices.sorted {
      scores[$0] > scores[$1] || scores[$0] == scores[$1] && $0 < $1
    }
    var bytes: [UInt8] = [UInt8(ascii: "[")]
    for (place, index) in order.prefix(max(0, most ?? (places == nil ? 5 : .max))).enumerated() {
      if place > 0 { bytes.append(UInt8(ascii: ",")) }
      let entry = entries[index]
      bytes += entry.head
      // An array that was opened and not closed; the score is its last element.
      if entry.head.count > 1 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(entry.column, entry.index, to: &bytes)
      bytes.append(UInt8(ascii: "]"))
    }
    bytes.append(UInt8(ascii: "]"))
    return bytes
  }

  /// One of what is ranked: how its answer begins, and where its score is.
  private struct Entry {
    var head: [UInt8]
    var column: Column
    var index: Int

    var score: Double { column.number(index) ?? 0 }
  }

  /// The output by which candidates are ranked: the last class's probability, else a score, else a
  /// decision value.
  private var ranking: Int? {
    let roles: [Signature.Role] = [.probability, .score, .decision, .value]
    return roles.lazy.compactMap { role in outputs.lastIndex { $0.role == role } }.first
  }

  private func categories(_ predictions: Predictions) -> [Entry] {
    let scored: [Signature.Role] = [.probability, .decision, .score, .value]
    let role = scored.first { role in outputs.contains { $0.role == role } }
    return zip(outputs, predictions.columns).flatMap { output, column -> [Entry] in
      guard output.role == role, ![.string, .bytes].contains(output.type) else { return [] }
      return (0..<column.values.count).map { index in
        var head: [UInt8] = [UInt8(ascii: "[")]
        JSONText.append(
          column.values.count > 1 ? String(index) : output.className ?? output.name, to: &head)
        return Entry(head: head, column: column, index: index)
      }
    }
  }
}

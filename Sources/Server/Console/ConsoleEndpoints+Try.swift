internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Inference
internal import NIOCore
internal import Scoring

/// Trying a model or a service: the same way that requests of programs go, with their limits.
extension ConsoleEndpoints {
  /// Contributions that are asked for beside a prediction.
  private static let reasons = 10
  /// Answers of a service that are shown.
  private static let mostAnswers = 10

  var tryRoutes: [Route] {
    let version: [Operation.Parameter] = [
      .query("version", "A version's number, or an alias.", Schema.text)
    ]
    return [
      page("/console/try", "pageTry", "What can be tried.") { _, _, caller in
        try tryList(caller)
      },
      page("/console/try/{model}", "pageTryModel", "A form of a model's features.", version) {
        request, context, caller in
        let subject = try await subject(request, context, caller)
        return subject.page(caller, [:], .none)
      },
      attempt("/console/try/{model}", "tryModel", "Scores what was written in the form.", version) {
        request, context, caller in try await attempt(request, context, caller)
      },
      page("/console/ask/{name}", "pageAsk", "A question box.") { _, context, caller in
        let (service, isOfImages) = try await service(context, caller)
        return AskPage(
          service: service, isOfImages: isOfImages, question: "", mayScore: caller.may(.score),
          outcome: .none
        ).page
      },
      attempt("/console/ask/{name}", "ask", "Answers a question.") { request, context, caller in
        try await ask(request, context, caller)
      },
    ]
  }

  private func attempt(
    _ path: String, _ id: String, _ summary: String, _ parameters: [Operation.Parameter] = [],
    _ make: @escaping Maker
  ) -> Route {
    var route = page(path, id, summary, parameters, make)
    route.method = .post
    route.access = .page(.score)
    route.operation.body = .init(
      contents: [Self.form, "multipart/form-data"].map { .init($0, Schema.bytes) })
    route.operation.answers += (Self.formRefusals + [504]).map {
      .body($0, "text/html", "A page that says why not.")
    }
    return route
  }

  // MARK: Models

  private func tryList(_ caller: Caller) throws(Problem) -> ConsolePage {
    let catalog = try server.library.catalog
    func isSeen(_ name: String) -> Bool { caller.models?.contains(name) ?? true }
    return TryListPage(
      models: catalog.entries.filter { isSeen($0.key) && !$0.value.readyVersions.isEmpty }
        .map { (name: $0.key, version: $0.value.aliases[Catalog.defaultAlias]) }
        .sorted { $0.name < $1.name },
      services: catalog.services.values.filter { isSeen($0.model) }.sorted { $0.name < $1.name }
    ).page
  }

  /// The model that a page is of.
  private struct Subject {
    var target: Catalog.Target
    var chosen: String
    var choices: [String]
    var model: LoadedModel
    var form: TryForm?

    func page(
      _ caller: Caller, _ given: [String: String], _ outcome: TryPage.Outcome, record: String? = nil
    ) -> ConsolePage {
      TryPage(
        target: target, chosen: chosen, choices: choices, form: form, given: given,
        mayScore: caller.may(.score), outcome: outcome, record: record
      ).page
    }
  }

  private func subject(
    _ request: Request, _ context: ServerContext, _ caller: Caller
  ) async throws -> Subject {
    let name = try context.parameter("model")
    try caller.requireModel(name)
    let entry = try server.library.catalog.entry(name)
    let wanted = request.uri.queryParameters["version"].map { String($0) }
    let versions = entry.readyVersions.suffix(50).reversed().map(String.init)
    let chosen =
      wanted ?? (entry.aliases[Catalog.defaultAlias] == nil ? versions.first : nil)
      ?? Catalog.defaultAlias
    let target = try server.library.target(name, chosen)
    let (model, _) = try await server.library.model(target)
    return Subject(
      target: target, chosen: chosen, choices: entry.aliases.keys.sorted() + versions,
      model: model, form: TryForm(model.model))
  }

  private func attempt(
    _ request: Request, _ context: ServerContext, _ caller: Caller
  ) async throws -> ConsolePage {
    let subject = try await subject(request, context, caller)
    guard let form = subject.form else {
      throw Problem.badRequest("the model has more features than a form can have")
    }
    var given: [String: String] = [:]
    do {
      return try await server.bodies.withBody(of: request, context) { body in
        let values = try Self.values(request, body)
        for field in form.fields where !field.isFile {
          given[field.id] = values[field.id].map { String(decoding: $0, as: UTF8.self) }
        }
        let record = try form.record(values)
        let answer = try await score(record, subject, context)
        return subject.page(
          caller, given, .answer(answer),
          record: form.hasFiles ? nil : String(decoding: record, as: UTF8.self))
      }
    } catch let problem as Problem {
      return subject.page(caller, given, .problem(problem))
    }
  }

  private static func values(
    _ request: Request, _ body: [UInt8]
  ) throws(Problem) -> [String: ArraySlice<UInt8>] {
    let type = request.headers[.contentType] ?? ""
    if type.lowercased().hasPrefix("multipart/form-data") {
      return try FormBody.parts(of: body, contentType: type)
    }
    return FormBody.fields(of: body).mapValues { ArraySlice($0.utf8) }
  }

  private func score(
    _ record: [UInt8], _ subject: Subject, _ context: ServerContext
  ) async throws -> TryAnswer {
    var model = subject.model
    let givesReasons = model.model.givesReasons
    if givesReasons {
      model = try await server.library.model(subject.target, reasons: Self.reasons)
    }
    let records: RecordRequest
    do throws(ScoringError) {
      records = try RecordRequest(record, format: .ndjson, signature: model.model.signature)
    } catch {
      throw Problem.badRequest(
        error.message.replacing("the file", with: "the record"), hint: error.hint)
    }
    let start = ContinuousClock.now
    let predictions = try await server.predict(
      model, records.batch, context, unreadable: records.unreadable)
    if let reason = records.failures(in: predictions)[0] {
      throw Problem(.unprocessableContent, "not_scored", reason)
    }
    return TryAnswer(
      version: subject.target.id.version, duration: start.duration(to: .now),
      givesReasons: givesReasons, outputs: model.model.signature.outputs, predictions)
  }

  // MARK: Services

  private func service(
    _ context: ServerContext, _ caller: Caller
  ) async throws -> (service: Catalog.Service, isOfImages: Bool) {
    let name = try context.parameter("name")
    let catalog = try server.library.catalog
    // Without telling whether there is such a model.
    if catalog.services[name] == nil { try caller.requireModel(name) }
    let service = try catalog.service(name)
    try caller.requireModel(service.model)
    let target = try server.library.target(service.model, service.alias)
    let (model, _) = try await server.library.model(target)
    return (service, try services.plan(of: service, model).wantsImage)
  }

  private func ask(
    _ request: Request, _ context: ServerContext, _ caller: Caller
  ) async throws -> ConsolePage {
    let (service, isOfImages) = try await service(context, caller)
    var question = ""
    func page(_ outcome: AskPage.Outcome) -> ConsolePage {
      AskPage(
        service: service, isOfImages: isOfImages, question: question, mayScore: true,
        outcome: outcome
      ).page
    }
    do {
      return try await server.bodies.withBody(of: request, context) { body in
        let values = try Self.values(request, body)
        let content: ServiceInput.Content
        if isOfImages {
          guard let image = values["image"], !image.isEmpty else {
            throw Problem.badRequest("no image was chosen")
          }
          content = .image(Array(image))
        } else {
          question = String(decoding: values["question"] ?? [], as: UTF8.self)
          content = .text(question)
        }
        let start = ContinuousClock.now
        let answer = try await services.answer(service, content, most: Self.mostAnswers, context)
        return page(
          .answer(
            try Self.ranked(answer.bytes), version: answer.version,
            duration: start.duration(to: .now)))
      }
    } catch let problem as Problem {
      return page(.problem(problem))
    }
  }

  /// Arrays that end with the score, as the service writes them.
  private static func ranked(_ bytes: [UInt8]) throws -> [AskPage.Ranked] {
    let rows = try JSONSerialization.jsonObject(with: Data(bytes)) as? [[Any]] ?? []
    return rows.compactMap { row in
      guard let score = row.last as? Double else { return nil }
      return AskPage.Ranked(names: row.dropLast().map { "\($0)" }, score: score)
    }
  }
}

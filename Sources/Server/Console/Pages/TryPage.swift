internal import HTTPTypes
internal import Inference
internal import Scoring

/// What can be tried.
struct TryListPage {
  var models: [(name: String, version: Int32?)]
  var services: [Catalog.Service]

  var page: ConsolePage {
    ConsolePage(
      section: .attempt, title: "Try",
      lead: "One record, question or image, answered here and now. Nothing of it is kept.",
      body: """
        \(if: !services.isEmpty, ConsoleParts.section("Services", id: "services", serviceTable))
        \(ConsoleParts.section("Models", id: "models", modelTable))
        """)
  }

  private var serviceTable: Markup {
    ConsoleTable(
      caption: "A text or an image in, ranked answers out.",
      columns: [.text("Service"), .text("Model"), .text("Answers")],
      rows: services.prefix(200).map { service in
        [
          "<a href=\"/console/ask/\(part: service.name)\">\(service.name)</a>",
          "\(service.model) \(service.alias)",
          service.candidates == nil ? "categories" : "the best of its candidates",
        ]
      }, empty: "There is none."
    ).markup
  }

  private var modelTable: Markup {
    ConsoleTable(
      caption: models.count > 200
        ? "The first 200; others are tried from their own pages." : "All of them.",
      columns: [.text("Model"), .text("Version that answers")],
      rows: models.prefix(200).map { model in
        [
          "<a href=\"/console/try/\(part: model.name)\">\(model.name)</a>",
          model.version.map { "champion, version \($0)" } ?? "no champion: choose a version",
        ]
      },
      empty:
        "No model yet. Push one: <code>rowcast push model.onnx --name NAME --alias champion</code>"
    ).markup
  }
}

/// A form of a model's features, and what it said.
struct TryPage {
  enum Outcome: Sendable {
    case none
    case answer(TryAnswer)
    case problem(Problem)
  }

  var target: Catalog.Target
  /// What the version was chosen by: a number or an alias.
  var chosen: String
  var choices: [String]
  /// nil where there are too many features.
  var form: TryForm?
  /// What was written, by the fields' ids.
  var given: [String: String]
  var mayScore: Bool
  var outcome: Outcome
  /// The record, as another program would send it.
  var record: String?

  var page: ConsolePage {
    var status = 200
    if case .problem(let problem) = outcome { status = problem.status.code }
    return ConsolePage(
      section: .attempt,
      way: [
        .init(title: "Try", path: "/console/try"),
        .init(title: target.name, path: "/console/models/\(Markup.percentEncoded(target.name))"),
      ], title: "Try \(target.name)",
      lead: "Version \(target.id.version), \(target.format). Nothing of it is kept.",
      body: """
        \(versions)
        <div class="columns">
        \(fields)
        <section class="result" id="result" aria-live="polite" aria-labelledby="result-title">\(result)</section>
        </div>
        """, status: .init(code: status))
  }

  private var versions: Markup? {
    guard choices.count > 1 else { return nil }
    let options = choices.map { choice -> Markup in
      "<option\(if: choice == chosen, " selected")>\(choice)</option>"
    }
    return """
      <form class="versions" method="get"><label for="version">Version or alias</label>
      <select id="version" name="version">\(options)</select> <button type="submit" class="quiet">Show</button></form>
      """
  }

  // MARK: The form

  private var fields: Markup {
    guard let form else {
      return ConsoleParts.note(
        """
        The model has more features than a form can have. Send a record: \
        <code>POST /v1/models/\(part: target.name)/predict</code>
        """)
    }
    let encoding: Markup = form.hasFiles ? " enctype=\"multipart/form-data\"" : ""
    return """
      <form class="card" method="post" action="?version=\(part: chosen)"\(encoding) data-attempt>
      <h2>Record</h2>
      <div class="fields">\(form.fields.filter(\.feature.isUsed).map { field($0, among: form.fields.count) })</div>
      <div class="actions">\(action)</div>
      </form>
      """
  }

  private var action: Markup {
    mayScore
      ? "<button type=\"submit\">Score</button>"
      : "<p class=\"hint\">Your key may read only: scoring needs the action <code>score</code>.</p>"
  }

  private func field(_ field: TryForm.Field, among count: Int) -> Markup {
    let id = field.id
    let feature = field.feature
    let value = given[id]
    let isOptional = feature.missing == .allowed
    let hint: Markup = """
      <span class="hint" id="\(id)-hint">\(field.kind)\(if: isOptional && !field.isFile, ", may be left empty")</span>
      """
    let described: Markup = " aria-describedby=\"\(id)-hint\""
    let required: Markup = isOptional ? "" : " required"
    if field.isFile {
      return """
        <div class="field wide">\(ImageDrop(id: id, label: feature.name).markup)</div>
        """
    }
    if let options = field.categories
      ?? (feature.type == .bool && feature.shape == nil ? ["true", "false"] : nil)
    {
      let choices = options.map { option -> Markup in
        "<option value=\"\(option)\"\(if: option == value, " selected")>\(option)</option>"
      }
      return """
        <div class="field"><label for="\(id)">\(feature.name)</label>
        <select id="\(id)" name="\(id)"\(required)\(described)>\
        <option value="">\(isOptional ? "(missing)" : "choose")</option>\(choices)</select>
        <span class="hint" id="\(id)-hint">\(field.categories == nil ? "true or false" : "a category")</span></div>
        """
    }
    if feature.shape != nil || feature.type == .string && count <= 3 {
      return """
        <div class="field wide"><label for="\(id)">\(feature.name)</label>
        <textarea id="\(id)" name="\(id)" rows="4"\(described)>\(value ?? "")</textarea>
        \(hint)</div>
        """
    }
    let kind: Markup =
      switch feature.type {
      case .int64: " inputmode=\"numeric\" pattern=\"\\s*[+\\-]?[0-9]+\\s*\""
      case .float32, .float64:
        " inputmode=\"decimal\" pattern=\"\\s*[+\\-]?[0-9.]+([eE][+\\-]?[0-9]+)?\\s*\""
      default: ""
      }
    return """
      <div class="field"><label for="\(id)">\(feature.name)</label>
      <input id="\(id)" name="\(id)" value="\(value ?? "")" autocomplete="off"\(feature.type == .string ? "" : required)\
      \(kind)\(described)>
      \(hint)</div>
      """
  }

  // MARK: The result

  private var result: Markup {
    switch outcome {
    case .none:
      return """
        <h2 id="result-title">Result</h2>
        \(ConsoleParts.note("Fill in a record and score it: what the model says of it stands here."))
        """
    case .problem(let problem):
      return """
        <h2 id="result-title">Not scored</h2>
        <div class="problem"><strong>\(problem.message)</strong>\
        \(problem.hint.map { "<span class=\"hint\">\($0)</span>" as Markup })</div>
        """
    case .answer(let answer):
      return AnswerPart(answer: answer, model: target.name, record: record).markup
    }
  }
}

/// A place for an image: a file is chosen, or dropped where there is the script.
struct ImageDrop {
  var id: String
  var label: String

  var markup: Markup {
    """
    <div class="drop" data-drop><label for="\(id)">\(label)</label>
    <p class="hint" data-droppable hidden>Drop an image here, or choose a file.</p>
    <input type="file" id="\(id)" name="\(id)" accept="image/jpeg,image/png,image/webp,image/*" required \
    aria-describedby="\(id)-hint">
    <span class="hint" id="\(id)-hint">JPEG, PNG or WebP</span>
    <img alt="The image that was chosen" hidden></div>
    """
  }
}

/// What a model said, and what that is owed to.
struct AnswerPart {
  var answer: TryAnswer
  var model: String
  var record: String?

  private static let most = 50

  var markup: Markup {
    let seconds = answer.duration / .seconds(1)
    return """
      <h2 id="result-title">Result</h2>
      <div class="card">
      <p class="answer"><strong>\(headline.text)</strong> <span class="hint">\(headline.name), by version \(answer.version) in \
      \(ConsoleText.duration(seconds))</span></p>
      \(table)
      </div>
      \(contributions)
      \(request)
      """
  }

  /// The output that matters most, and what it is called.
  private var headline: (text: String, name: String) {
    let roles: [Signature.Role] = [.label, .score, .decision, .probability, .value]
    let value = roles.lazy.compactMap { role in answer.values.first { $0.role == role } }.first
    guard let value else { return ("No output", "nothing") }
    let isNumber = value.role != .label && value.number != nil
    return (
      isNumber ? ConsoleText.number(value.number ?? 0) : String(value.text.prefix(60)), value.name
    )
  }

  private var table: Markup {
    let likely = answer.values.filter { $0.role == .probability }
      .sorted { ($0.number ?? 0) > ($1.number ?? 0) }
    let others = answer.values.filter { $0.role != .probability }
    let shown = (others + likely).prefix(Self.most)
    return ConsoleTable(
      caption: shown.count < answer.values.count
        ? "The first \(Self.most) of \(answer.values.count) outputs." : "All outputs.",
      columns: [.text("Output"), .number("Value"), .text("Share")],
      rows: shown.map { value in
        [
          "\(value.className ?? value.name)\(if: value.className != nil, "<span class=\"fine\">\(value.role.rawValue)</span>")",
          "\(value.number.map { ConsoleText.number($0) } ?? value.text)",
          value.role == .probability
            ? ConsoleParts.progress(
              value.number ?? 0, label: "probability of \(value.className ?? value.name)")
            : ConsoleParts.none,
        ]
      }, empty: "The model gave nothing."
    ).markup
  }

  private var contributions: Markup? {
    guard !answer.reasons.isEmpty else {
      return answer.givesReasons
        ? nil
        : ConsoleParts.note(
          "Predictions of this model cannot be taken apart into contributions of features.")
    }
    let most = answer.reasons.map(\.contribution.magnitude).max() ?? 1
    return """
      <section aria-labelledby="contributions"><h2 id="contributions">Contributions</h2>
      \(ConsoleTable(
        caption: "What each feature adds to the margin, or takes from it; the largest first.",
        columns: [.text("Feature"), .number("Contribution"), .text("Effect")],
        rows: answer.reasons.map { reason in
          [
            "\(reason.feature)",
            "\(reason.contribution > 0 ? "+" : "")\(ConsoleText.number(reason.contribution))",
            """
            \(Self.weight(reason.contribution / max(most, .leastNormalMagnitude)))\
            <span class="hidden">\(reason.contribution < 0 ? "takes" : "adds")</span>
            """,
          ]
        }, empty: "").markup)
      </section>
      """
  }

  /// A bar from the middle, to the right for more and to the left for less.
  private static func weight(_ share: Double) -> Markup {
    let width = ConsoleParts.coordinate(share.magnitude * 70)
    let start = ConsoleParts.coordinate(share < 0 ? 72 + share * 70 : 72)
    return """
      <svg class="weigh" viewBox="0 0 144 14" aria-hidden="true" focusable="false">\
      <rect class="\(share < 0 ? "minus" : "plus")" x="\(start)" y="2" width="\(width)" height="10" rx="1.5"/>\
      <path class="zero" d="M72 0v14"/></svg>
      """
  }

  private var request: Markup? {
    guard let record else { return nil }
    return """
      <details><summary>The same from a program</summary>
      <pre class="card"><code>curl -H "Authorization: Bearer $KEY" -d '\(record.trimmingSuffix { $0 == "\n" }.replacing("'", with: "'\\''"))' \\
        https://HOST/v1/models/\(part: model)/versions/\(answer.version)/predict</code></pre></details>
      """
  }
}

extension String {
  fileprivate func trimmingSuffix(while isCut: (Character) -> Bool) -> Substring {
    var rest = self[...]
    while let last = rest.last, isCut(last) { rest.removeLast() }
    return rest
  }
}

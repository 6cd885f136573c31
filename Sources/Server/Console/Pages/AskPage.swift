internal import HTTPTypes

/// A question box, or a place for an image, and a service's answers.
struct AskPage {
  enum Outcome: Sendable {
    case none
    case answer([Ranked], version: Int32, duration: Duration)
    case problem(Problem)
  }

  /// An answer: what identifies it, and its score.
  struct Ranked: Sendable {
    var names: [String]
    var score: Double
  }

  var service: Catalog.Service
  /// Whether it wants an image.
  var isOfImages: Bool
  var question: String
  var mayScore: Bool
  var outcome: Outcome

  var page: ConsolePage {
    var status = 200
    if case .problem(let problem) = outcome { status = problem.status.code }
    let button: Markup =
      mayScore
      ? "<button type=\"submit\">Ask</button>"
      : "<p class=\"hint\">Your key may read only: asking needs the action <code>score</code>.</p>"
    return ConsolePage(
      section: .attempt, way: [.init(title: "Try", path: "/console/try")],
      title: "Ask \(service.name)",
      lead: "Model \(service.model), \(service.alias). Nothing of it is kept.",
      body: """
        <div class="columns">
        <form class="card" method="post"\(if: isOfImages, " enctype=\"multipart/form-data\"") data-attempt>
        \(isOfImages ? ImageDrop(id: "image", label: "Image").markup : box)
        <div class="actions">\(button)</div>
        </form>
        <section class="result" id="result" aria-live="polite" aria-labelledby="result-title">\(result)</section>
        </div>
        """, status: .init(code: status))
  }

  private var box: Markup {
    """
    <div class="field"><label for="question">Question</label>
    <textarea id="question" name="question" rows="5">\(question)</textarea></div>
    """
  }

  private var result: Markup {
    switch outcome {
    case .none:
      return """
        <h2 id="result-title">Answers</h2>
        \(ConsoleParts.note("The best answers stand here, with their scores."))
        """
    case .problem(let problem):
      return """
        <h2 id="result-title">Not answered</h2>
        <div class="problem"><strong>\(problem.message)</strong>\
        \(problem.hint.map { "<span class=\"hint\">\($0)</span>" as Markup })</div>
        """
    case .answer(let ranked, let version, let duration):
      return """
        <h2 id="result-title">Answers</h2>
        \(ConsoleTable(
          caption: "By version \(version) in \(ConsoleText.duration(duration / .seconds(1))), the best first.",
          columns: [.text("Answer"), .number("Score"), .text("Share")],
          rows: ranked.map { answer in
            [
              "\(answer.names.joined(separator: " · "))", "\(ConsoleText.number(answer.score))",
              (0...1).contains(answer.score)
                ? ConsoleParts.progress(answer.score, label: "score of \(answer.names.joined(separator: " "))")
                : ConsoleParts.none,
            ]
          }, empty: "It has no answer.").markup)
        """
    }
  }
}

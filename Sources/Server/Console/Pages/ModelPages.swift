/// All models, with what their aliases point at.
struct ModelsPage {
  static let pageSize = 50

  /// One more than a page where another follows.
  var models: [ConsoleData.ListedModel]
  var isFirst: Bool

  var page: ConsolePage {
    let shown = Array(models.prefix(Self.pageSize))
    let next: Markup? =
      models.count > Self.pageSize
      ? "<a class=\"button quiet\" href=\"/console/models?after=\(part: shown.last?.name ?? "")\">Next \(Self.pageSize)</a>"
      : nil
    return ConsolePage(
      section: .models, title: "Models",
      body: """
        \(table(shown))
        <nav class="pages" aria-label="Pages">\(if: !isFirst, "<a class=\"button quiet\" href=\"/console/models\">First models</a>")\(next)</nav>
        """, isLive: true)
  }

  private func table(_ models: [ConsoleData.ListedModel]) -> Markup {
    ConsoleTable(
      caption: "Models by name, and where their aliases point.",
      columns: [
        .text("Model"), .text("Aliases"), .text("Newest version"), .number("Versions"),
        .text("Format"),
        .text("Runs on"), .text("Made"),
      ],
      rows: models.map { model in
        [
          """
          <a href="/console/models/\(part: model.name)">\(model.name)</a>\
          \(model.description.map { "<span class=\"fine\">\($0)</span>" as Markup })
          """,
          model.aliases.isEmpty
            ? ConsoleParts.none
            : "\(model.aliases.sorted { $0.key < $1.key }.map { alias -> Markup in "<span class=\"tag\">\(alias.key) → \(alias.value)</span>" })",
          "\(model.newest.map { "\($0) " })\(ModelPage.badge(model.state))",
          "\(ConsoleText.count(model.versions))",
          "\(model.format ?? "not known yet")", "\(model.runsOn ?? "")",
          ConsoleText.moment(model.createdAt),
        ]
      },
      empty:
        "No model yet. Push one: <code>rowcast push model.onnx --name NAME --alias champion</code>"
    ).markup
  }
}

/// One model: versions, aliases and what they did, signature.
struct ModelPage {
  static let pageSize = 50

  var model: ConsoleData.Model
  /// Scorers that follow it.
  var scorers: [ConsoleData.Scorer]
  var isFirst: Bool

  static func badge(_ state: String?) -> Markup {
    switch state {
    case "ready": ConsoleParts.badge(.good, "ready")
    case "refused": ConsoleParts.badge(.bad, "refused")
    case let state?: ConsoleParts.badge(.idle, state)
    case nil: ConsoleParts.none
    }
  }

  var page: ConsolePage {
    ConsolePage(
      section: .models, way: [.init(title: "Models", path: "/console/models")], title: model.name,
      lead: model.description.map { "\($0)" },
      body: """
        <p class="actions top"><a class="button" href="/console/try/\(part: model.name)">Try this model</a></p>
        \(ConsoleParts.section("Versions", id: "versions", versions))
        \(ConsoleParts.section("Scorers", id: "scorers", followers))
        \(ConsoleParts.section("Signature\(model.signatureVersion.map { " of version \($0)" } ?? "")", id: "signature", signature))
        \(ConsoleParts.section("Moves of aliases", id: "moves", moves))
        """, isLive: true)
  }

  private var versions: Markup {
    let shown = Array(model.versions.prefix(Self.pageSize))
    let older: Markup? =
      model.versions.count > Self.pageSize
      ? "<a class=\"button quiet\" href=\"?before=\(shown.last?.version ?? 0)\">Older versions</a>"
      : nil
    return """
      \(ConsoleTable(
        caption: "The newest first.",
        columns: [
          .text("Version"), .text("State"), .text("Aliases"), .text("Format"), .number("Size"), .number("Golden rows"),
          .text("Content"), .text("Registered"),
        ],
        rows: shown.map { version in
          [
            "\(version.version)",
            "\(Self.badge(version.state))\(version.refusal.map { "<span class=\"fine\">\($0)</span>" as Markup })",
            version.aliases.isEmpty
              ? ConsoleParts.none : "\(version.aliases.map { alias -> Markup in "<span class=\"tag\">\(alias)</span>" })",
            "\(version.format ?? "not known yet")", "\(ConsoleText.bytes(version.byteCount))",
            "\(ConsoleText.count(version.goldenRows))",
            "<code title=\"SHA-256 \(version.sha256)\">\(version.sha256.prefix(12))</code>\(version.metrics.map { "<span class=\"fine\">\($0)</span>" as Markup })",
            "\(ConsoleText.moment(version.createdAt))<span class=\"fine\">by \(version.createdBy)</span>",
          ]
        }, empty: "No version yet.").markup)
      <nav class="pages" aria-label="Pages">\(if: !isFirst, "<a class=\"button quiet\" href=\"?\">Newest versions</a>")\(older)</nav>
      """
  }

  private var followers: Markup {
    ConsoleTable(
      caption: "Scorers that follow an alias of this model, or pin a version.",
      columns: [.text("Scorer"), .text("State"), .text("Version"), .text("Source")],
      rows: scorers.prefix(Self.pageSize).map { scorer in
        [
          "<a href=\"/console/scorers/\(part: scorer.name)\">\(scorer.name)</a>", scorer.badge,
          "\(scorer.pinnedVersion.map { "version \($0)" } ?? scorer.alias)", "\(scorer.source)",
        ]
      }, empty: "No scorer follows it."
    ).markup
  }

  private var signature: Markup {
    func table(
      _ part: String, _ caption: String, _ columns: [ConsoleTable.Column],
      _ row: (ConsoleData.Model.Entry) -> [Markup]
    )
      -> Markup
    {
      ConsoleTable(
        caption: caption, columns: columns,
        rows: model.signature.filter { $0.part == part }.map(row),
        empty: "Not known until a worker has looked at the version."
      ).markup
    }
    return """
      <div class="columns">
      \(table("feature", "What it reads; 200 features at most.", [.text("Feature"), .text("Type"), .text("Where it is missing")]) { entry in
        [
          "\(entry.name)", "<code>\(entry.isImage ? "image" : entry.type)</code>",
          entry.missing == "allowed" ? "the model has a rule" : "the row fails",
        ]
      })
      \(table("output", "What it writes; 200 outputs at most.", [.text("Output"), .text("Type"), .text("Role")]) { entry in
        ["\(entry.name)", "<code>\(entry.type)</code>", "\(entry.role ?? "")\(entry.class.map { " of \($0)" })"]
      })
      </div>
      """
  }

  private var moves: Markup {
    ConsoleTable(
      caption: "The latest twenty.",
      columns: [.text("Alias"), .text("From"), .text("To"), .text("When")],
      rows: model.moves.map { move in
        [
          "\(move.alias)", move.old.map { "version \($0)" } ?? ConsoleParts.none,
          move.new.map { "version \($0)" } ?? "dropped",
          "\(ConsoleText.moment(move.at))<span class=\"fine\">by \(move.by)</span>",
        ]
      }, empty: "No alias was set."
    ).markup
  }
}

import Foundation
import ProtocolModel
import Testing

/// The model of the protocol, and what each of its rules is good for.
///
/// `make protocol` explores more; this is what each run of the tests can afford.
@Suite struct ProtocolTests {
  /// Every state within the bounds keeps what is promised, every run ends, and ends well.
  @Test(arguments: Scope.allCases)
  func everyInterleavingKeepsThePromises(scope: Scope) {
    let bounds = scope.bounds(isWide: false)
    let result = Explorer.explore(Model(bounds))
    print("protocol, \(scope): \(result.states) states, \(result.transitions) steps between them")
    #expect(result.counterexample == nil)
    let unmoved = bounds.kinds.subtracting(result.taken.keys)
    #expect(unmoved.isEmpty, "never taken: \(unmoved)")
  }

  /// A protocol that lacks a rule fails as it must, and it is shown how.
  @Test(arguments: Rule.allCases)
  func noRuleCanBeMissed(rule: Rule) throws {
    let model = Model(rule.scope.bounds(isWide: false), breaking: rule)
    let found = try #require(Explorer.explore(model).counterexample)
    #expect(found.violation == rule.violation)
    print(
      "protocol, \(rule): \(rule.breach): \(found.violation.rawValue), in \(found.steps.count) steps"
    )
  }

  /// The statements that the model stands for are in the product as they were when it was made.
  /// Whoever changes one looks whether the model still does the same, then renews the quotation.
  @Test(arguments: Step.Kind.allCases)
  func whatIsModelledIsThere(kind: Step.Kind) throws {
    for place in kind.code {
      let text = try String(contentsOf: Self.root.appending(path: place.file), encoding: .utf8)
      #expect(text.contains(place.quote), "\(kind): \(place.file) no longer has: \(place.quote)")
    }
  }

  /// The article has a row for each step and each rule.
  @Test func theArticleIsWhole() throws {
    let article = try String(
      contentsOf: Self.root.appending(path: "Sources/Scoring/Scoring.docc/CheckedProtocol.md"),
      encoding: .utf8)
    for kind in Step.Kind.allCases where kind != .start {
      #expect(article.contains("| `\(kind)` |"))
      for place in kind.code {
        #expect(article.contains(place.file.split(separator: "/").last!), "\(kind): \(place.file)")
      }
    }
    for rule in Rule.allCases { #expect(article.contains("| `\(rule)` |")) }
  }

  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}

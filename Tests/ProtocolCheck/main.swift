import Foundation
import ProtocolModel

// Explores the model of the protocol: first as it is, then without each of its rules in turn.
// With an argument, only what bears that name: a scope or a rule. --quick takes the bounds of the tests.

let arguments = CommandLine.arguments.dropFirst()
let isWide = !arguments.contains("--quick")
let names = arguments.filter { $0 != "--quick" }
let unknown = names.first { Scope(rawValue: $0) == nil && Rule(rawValue: $0) == nil }
if let unknown {
  let known = Scope.allCases.map(\.rawValue) + Rule.allCases.map(\.rawValue)
  say(
    "\"\(unknown)\" is neither a scope nor a rule; known: \(known.joined(separator: " "))",
    to: .standardError)
  exit(64)
}

/// At once, also into a pipe.
func say(_ line: String, to file: FileHandle = .standardOutput) {
  file.write(Data((line + "\n").utf8))
}

func explore(_ model: Model) -> (Explorer.Result, seconds: String) {
  let start = ContinuousClock.now
  let result = Explorer.explore(model)
  let tenths = Int((ContinuousClock.now - start) / .milliseconds(100))
  return (result, "\(tenths / 10).\(tenths % 10) s")
}

var isSound = true
var states = 0
for scope in Scope.allCases where names.isEmpty || names.contains(scope.rawValue) {
  let (result, seconds) = explore(Model(scope.bounds(isWide: isWide)))
  states += result.states
  say(
    "\(scope): \(result.states) states, \(result.transitions) steps between them, "
      + "at most \(result.depth) deep, \(seconds)")
  if let counterexample = result.counterexample {
    isSound = false
    say(counterexample.description)
  }
}
if states > 0 { say("\(states) states in all\n") }

for rule in Rule.allCases where names.isEmpty || names.contains(rule.rawValue) {
  let (result, seconds) = explore(Model(rule.scope.bounds(isWide: false), breaking: rule))
  if let counterexample = result.counterexample, counterexample.violation == rule.violation {
    say("\(rule): \(rule.breach): caught after \(result.states) states, \(seconds)")
    if names.contains(rule.rawValue) { say(counterexample.description) }
  } else {
    isSound = false
    say("\(rule): \(rule.breach): NOT CAUGHT")
  }
}
exit(isSound ? 0 : 1)

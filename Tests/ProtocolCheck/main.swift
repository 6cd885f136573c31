import Glibc
import ProtocolModel

// Explores the model of the protocol: first as it is, then without each of its rules in turn.
// With an argument, only what bears that name: a scope or a rule. --quick takes the bounds of the tests.

let arguments = CommandLine.arguments.dropFirst()
let isWide = !arguments.contains("--quick")
let names = arguments.filter { $0 != "--quick" }
let unknown = names.first { Scope(rawValue: $0) == nil && Rule(rawValue: $0) == nil }
if let unknown {
  let known = Scope.allCases.map(\.rawValue) + Rule.allCases.map(\.rawValue)
  fputs(
    "\"\(unknown)\" is neither a scope nor a rule; known: \(known.joined(separator: " "))\n", stderr
  )
  exit(64)
}

func explore(_ model: Model) -> (Explorer.Result, seconds: String) {
  let start = ContinuousClock.now
  let result = Explorer.explore(model)
  let tenths = Int((ContinuousClock.now - start) / .milliseconds(100))
  return (result, "\(tenths / 10).\(tenths % 10) s")
}

setvbuf(stdout, nil, _IOLBF, 0)
var isSound = true
var states = 0
for scope in Scope.allCases where names.isEmpty || names.contains(scope.rawValue) {
  let (result, seconds) = explore(Model(scope.bounds(isWide: isWide)))
  states += result.states
  print(
    "\(scope): \(result.states) states, \(result.transitions) steps between them, "
      + "at most \(result.depth) deep, \(seconds)")
  if let counterexample = result.counterexample {
    isSound = false
    print(counterexample)
  }
}
if states > 0 { print("\(states) states in all\n") }

for rule in Rule.allCases where names.isEmpty || names.contains(rule.rawValue) {
  let (result, seconds) = explore(Model(rule.scope.bounds(isWide: false), breaking: rule))
  if let counterexample = result.counterexample, counterexample.violation == rule.violation {
    print("\(rule): \(rule.breach): caught after \(result.states) states, \(seconds)")
    if names.contains(rule.rawValue) { print(counterexample) }
  } else {
    isSound = false
    print("\(rule): \(rule.breach): NOT CAUGHT")
  }
}
exit(isSound ? 0 : 1)

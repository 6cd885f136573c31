import Foundation
import Inference
import ModelFixtures
import Testing

/// x * (1 + erf(x / sqrt 2)) / 2 as exporters write it, node by node.
@Suite struct GeluTests {
  enum Form: CaseIterable, Sendable {
    /// x * (erf(x / sqrt 2) + 1) * 0.5
    case lastHalf
    /// (x * 0.5) * (erf(x * sqrt 0.5) + 1)
    case firstHalf
    /// The half of the sum, then x.
    case middleHalf
    /// Not the function: erf(x / sqrt 2) + 1 times another value.
    case otherFactor
    /// Not the function: a third instead of a half.
    case third
  }

  private static func network(_ form: Form) -> [UInt8] {
    var file = OnnxWriter(opset: 17)
    file.input("tokens", .float, [nil, nil, 4])
    file.initializer(
      "weights", .init(dims: [4, 6], .floats((0..<24).map { Float($0 % 7) / 3 - 1 })))
    file.initializer("bias", .init(dims: [6], .floats((0..<6).map { Float($0) / 5 - 0.5 })))
    for (name, value) in [
      ("root", 2.0.squareRoot()), ("inverse", 0.5.squareRoot()), ("one", 1), ("half", 0.5),
      ("third", 1.0 / 3),
    ] {
      file.initializer(name, .init(dims: [], .floats([Float(value)])))
    }
    file.node("MatMul", ["tokens", "weights"], ["product"])
    file.node("Add", ["bias", "product"], ["x"])
    if form == .firstHalf {
      file.node("Mul", ["x", "inverse"], ["scaled"])
    } else {
      file.node("Div", ["x", "root"], ["scaled"])
    }
    file.node("Erf", ["scaled"], ["erf"])
    file.node("Add", ["erf", "one"], ["sum"])
    switch form {
    case .lastHalf, .third:
      file.node("Mul", ["x", "sum"], ["double"])
      file.node("Mul", ["double", form == .third ? "third" : "half"], ["out"])
    case .firstHalf:
      file.node("Mul", ["half", "x"], ["small"])
      file.node("Mul", ["small", "sum"], ["out"])
    case .middleHalf:
      file.node("Mul", ["sum", "half"], ["small"])
      file.node("Mul", ["x", "small"], ["out"])
    case .otherFactor:
      file.node("Mul", ["product", "sum"], ["double"])
      file.node("Mul", ["double", "half"], ["out"])
    }
    file.output("out", .float, [nil, nil, 6])
    return file.bytes()
  }

  @Test(
    "Any order of the nodes gives the function, for sequences of any length",
    arguments: Form.allCases)
  func forms(form: Form) throws {
    let model = try Model.load(Self.network(form))
    for length in [3, 1, 11, 3] {
      let tokens = (0..<(2 * length * 4)).map { Float($0 % 13) / 4 - 1.5 }
      let found = try model.predict(
        Batch(rowCount: 2, columns: [Column(.float32(tokens), shape: [length, 4])]),
        workspace: Workspace())
      guard case .float32(let numbers) = found.columns[0].values else {
        Issue.record("not floats")
        return
      }
      #expect(numbers.count == 2 * length * 6)
      for (place, number) in numbers.enumerated() {
        let (token, column) = (place / 6, place % 6)
        let product = (0..<4).reduce(0.0) { sum, k in
          let place = Float((k * 6 + column) % 7) / 3 - 1
          return sum + Double(tokens[token * 4 + k]) * Double(place)
        }
        let x = product + Double(column) / 5 - 0.5
        let gate = 1 + erf(x * 0.5.squareRoot())
        let wanted =
          switch form {
          case .otherFactor: product * gate / 2
          case .third: x * gate / 3
          default: x * gate / 2
          }
        #expect(abs(Double(number) - wanted) < 1e-5)
      }
    }
  }
}

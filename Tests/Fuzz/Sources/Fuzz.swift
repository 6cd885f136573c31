import CLibFuzzer
import FuzzChecks
import Glibc
import TestRandom

/// `fuzz TARGET [libFuzzer's arguments]`: runs libFuzzer on one target until it finds something.
@main
struct Fuzz {
  /// Set once, before libFuzzer takes over.
  nonisolated(unsafe) fileprivate static var target = FuzzTarget.executor

  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count > 1, let target = FuzzTarget(rawValue: arguments[1]) else {
      let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
      print("usage: fuzz \(names) [libFuzzer's arguments]")
      exit(64)
    }
    Self.target = target
    let rest = [arguments[0]] + arguments.dropFirst(2)
    // libFuzzer keeps the pointers for as long as the process lives.
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(
      capacity: rest.count + 1)
    for (index, argument) in rest.enumerated() { pointers[index] = strdup(argument) }
    pointers[rest.count] = nil
    var count = Int32(rest.count)
    var vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = pointers
    exit(
      LLVMFuzzerRunDriver(&count, &vector) { data, size in
        let bytes = data.map { Array(UnsafeBufferPointer(start: $0, count: size)) } ?? []
        do throws(FuzzFinding) {
          try Fuzz.target.check(bytes)
        } catch {
          fatalError(error.description)
        }
        return 0
      })
  }
}

/// libFuzzer calls this where it would mutate on its own: half of the time the model's own parts are
/// mutated, so that what comes out is often still a model.
@_cdecl("LLVMFuzzerCustomMutator")
func mutate(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ mostSize: Int, _ seed: UInt32
) -> Int {
  if Fuzz.target == .image {
    let count = LLVMFuzzerMutate(data, size, mostSize)
    // Without its checksums hardly a changed PNG is read any further.
    if seed % 4 != 0 { PNGRepair.mend(UnsafeMutableBufferPointer(start: data, count: count)) }
    return count
  }
  var random = SplitMix64(seed: UInt64(seed))
  let byStructure = Fuzz.target == .executor ? 9 : 5
  guard random.below(10) < byStructure else { return LLVMFuzzerMutate(data, size, mostSize) }
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  guard let mutated = ModelMutator.mutate(bytes, &random), mutated.count <= mostSize else {
    return LLVMFuzzerMutate(data, size, mostSize)
  }
  for (index, byte) in mutated.enumerated() { data[index] = byte }
  return mutated.count
}

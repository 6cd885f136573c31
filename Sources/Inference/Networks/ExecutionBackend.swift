/// Where a model runs.
public enum Device: String, Sendable, Codable, CaseIterable {
  case cpu, gpu
  /// A GPU where there is one, else the CPU.
  case auto

  /// The devices that this process has.
  public static var present: [Device] { ExecutionBackends.all.map(\.device) }
}

/// What runs the plans of networks: all scoring of graphs goes through one.
///
/// A plan has the graph after all passes (steps with their operators, constants among the values) and a place in
/// memory for each value; a frame has the memory. The CPU's backend runs the steps where they are. Another
/// device's takes the constants over in `load`, and in `run` the frame's inputs to it and its outputs back: to
/// callers both are memory of this process.
protocol ExecutionBackend: Sendable {
  var device: Device { get }

  /// Gets ready to run a plan, once for each.
  ///
  /// - Throws: `.unsupported` that names the operator which the device does not run.
  func load(_ plan: Plan) throws(ModelError)

  /// Runs a frame's steps for its rows. Rows that fail are added to its failures.
  func run(_ frame: Frame)
}

/// Our kernels and oneDNN's, on the thread that calls, or those of the workspace.
struct CPUBackend: ExecutionBackend {
  var device: Device { .cpu }

  func load(_ plan: Plan) throws(ModelError) {}

  func run(_ frame: Frame) { frame.run() }
}

/// The backends of this process. One for CUDA is to be added here, loading cuDNN and cuBLASLt when it is asked
/// for, as `CDNN` loads oneDNN: a process without them goes on without.
enum ExecutionBackends {
  static let all: [any ExecutionBackend] = [CPUBackend()]

  /// - Throws: `.unsupported` where the device is not there, or is not for such a model.
  static func backend(for device: Device, isNetwork: Bool) throws(ModelError)
    -> any ExecutionBackend
  {
    let gpu = all.first { $0.device == .gpu }
    switch device {
    case .cpu: return CPUBackend()
    case .auto: return isNetwork ? gpu ?? CPUBackend() : CPUBackend()
    case .gpu:
      guard isNetwork else {
        throw ModelError(
          .unsupported, "device gpu runs networks of tensors, images and texts; this model is none",
          hint: "Leave the device out: it runs on the CPU.")
      }
      guard let gpu else {
        throw ModelError(
          .unsupported, "device gpu is not there: this program runs models on the CPU alone",
          hint: "Take device auto, which is the CPU where there is no GPU.")
      }
      return gpu
    }
  }
}

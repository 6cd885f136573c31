/// Why a model or its input was refused.
///
/// Fields follow a PostgreSQL error, so that they can be passed on unchanged.
public struct ModelError: Error, Sendable, Equatable {
  public enum Code: String, Sendable, Codable {
    /// The bytes end before the model does.
    case truncated
    /// The bytes contradict the format's specification.
    case malformed
    /// Well-formed, but uses an operator, objective or version that the engine does not have.
    case unsupported
    /// A declared size is over the limits.
    case tooLarge
    /// The input does not fit the model's signature.
    case mismatch
  }

  public var code: Code
  /// One clause, no capital, no full stop; names the operator, tree or line at fault.
  public var message: String
  /// Facts for the operator; may hold row values, so it never leaves in a reply.
  public var detail: String?
  /// What to do next, as a sentence.
  public var hint: String?

  public init(
    _ code: Code, _ message: String, detail: String? = nil, hint: String? = nil
  ) {
    self.code = code
    self.message = message
    self.detail = detail
    self.hint = hint
  }
}

extension ModelError: CustomStringConvertible {
  public var description: String { message }
}

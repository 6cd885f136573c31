internal import CDNN

/// Whose kernels networks are loaded with.
package enum NetworkKernels {
  /// Leaves oneDNN out of what is loaded meanwhile, as where there is none.
  @TaskLocal package static var isPlain = false

  static var usesOneDNN: Bool { !isPlain && dn_is_available() != 0 }
}

internal import CKernels

/// A way to find the leaves of rows and add them up; see `ck_forest.h` for the families.
///
/// Whichever is taken, the sums are the same to the bit.
protocol ForestKernel: AnyObject, Sendable {
  /// The family, as reports and tests call it.
  var name: String { get }
  /// What it is given in place of values.
  var codes: ForestCodes { get }
  /// Rows that it takes at once at most.
  var blockRows: Int { get }
  /// Whether few rows cost as much as a block of them.
  var takesBlocks: Bool { get }
  /// What it takes beside its codes and the values of leaves.
  var byteCount: Int { get }
  /// Memory that a call needs.
  var scratchByteCount: Int { get }
  /// What C is given; lives as long as the kernel.
  var form: UnsafePointer<ck_forest_form> { get }
}

extension ForestKernel {
  var takesBlocks: Bool { false }
  var scratchByteCount: Int { 0 }

  /// Adds the leaves of encoded rows to their sums, which lie row by row.
  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_add_f32(form, codes, count, scratch, sums)
  }

  func add(
    _ codes: UnsafeRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>,
    scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_add_f64(form, codes, count, scratch, sums)
  }
}

/// A kernel's tables behind one pointer.
struct ForestForm<Tables: BitwiseCopyable> {
  private let tables: KernelTable<Tables>
  private let form: KernelTable<ck_forest_form>

  init(_ family: ck_forest_family, _ tables: Tables, codes: ForestCodes) {
    self.tables = KernelTable([tables])
    form = KernelTable([
      ck_forest_form(
        family: family, forest: UnsafeRawPointer(self.tables.base), codes: codes.layout.base)
    ])
  }

  var pointer: UnsafePointer<ck_forest_form> { form.base }
}

/// What scoring a block takes: pointers alone, since references to the kernels would be counted for
/// each call, by all threads at once. Void once the plan is gone.
struct ForestCalls: @unchecked Sendable {
  /// Up to `fewRows` rows are scored by the first, more by the second.
  let few: UnsafePointer<ck_forest_form>
  let many: UnsafePointer<ck_forest_form>
  let fewRows: Int
  /// Numbers of the features that trees read, ascending.
  let features: UnsafeBufferPointer<Int>
  /// Where the kernels' own scratch starts.
  let codeByteCount: Int

  @inline(__always)
  private func form(_ count: Int) -> UnsafePointer<ck_forest_form> {
    count <= fewRows ? few : many
  }

  @inline(__always)
  private func codes(_ count: Int) -> UnsafePointer<ck_forest_codes> {
    form(count).pointee.codes
  }

  // MARK: Encoding

  func encode(
    _ values: UnsafePointer<Float>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_encode_f32(codes(count), index, values, stride, count, scratch)
  }

  func encode(
    _ values: UnsafePointer<Double>, stride: Int = 1, count: Int, feature index: Int,
    into scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_encode_f64(codes(count), index, values, stride, count, scratch)
  }

  func encode(
    rows: UnsafePointer<Float>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_encode_rows_f32(codes(count), rows, width, count, scratch)
  }

  func encode(
    rows: UnsafePointer<Double>, width: Int, count: Int, into scratch: UnsafeMutableRawPointer
  ) {
    ck_forest_encode_rows_f64(codes(count), rows, width, count, scratch)
  }

  // MARK: Sums

  func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Double>
  ) {
    ck_forest_add_f64(form(count), scratch, count, scratch + codeByteCount, sums)
  }

  func add(
    _ scratch: UnsafeMutableRawPointer, count: Int, to sums: UnsafeMutablePointer<Float>
  ) {
    ck_forest_add_f32(form(count), scratch, count, scratch + codeByteCount, sums)
  }
}

internal import Inference

/// Where a field lies in the bytes of its block, and how it is written there.
///
/// Fields stay bytes until a feature's type says what to make of them: most of a file is numbers,
/// or is passed through as it is.
struct RecordField: Sendable {
  enum Form: UInt8, Sendable {
    /// Nothing between two commas, `null`, or no such member.
    case missing
    /// A field of CSV without quotes.
    case plain
    /// A field of CSV between quotes, which are not in the range.
    case quoted
    /// The same, with doubled quotes in it.
    case quotedTwice
    /// JSON: a number, `true` or `false`.
    case number, bool
    /// JSON: a string without escapes; its quotes are not in the range.
    case string
    /// The same, with escapes in it.
    case escaped
    /// JSON: an array or object.
    case nested
  }

  var range: Range<Int>
  var form: Form

  static let missing = RecordField(range: 0..<0, form: .missing)

  /// The field's text, its quotes and escapes undone.
  func text(in bytes: [UInt8]) -> String {
    switch form {
    case .missing: ""
    case .plain, .quoted, .number, .bool, .string, .nested:
      String(decoding: bytes[range], as: UTF8.self)
    case .quotedTwice: String(decoding: CSVReader.unquoted(bytes[range]), as: UTF8.self)
    case .escaped: String(decoding: NDJSONReader.unescaped(bytes[range]), as: UTF8.self)
    }
  }
}

extension RecordField {
  init(_ field: CSVReader.Field) {
    range = field.range
    form =
      field.isQuoted
      ? (field.isEscaped ? .quotedTwice : .quoted) : (field.range.isEmpty ? .missing : .plain)
  }
}

/// The records of a block, ready to be scored and written out.
struct RecordBatch: Sendable {
  var bytes: [UInt8]
  var columns: [Column] = []
  /// Where each record begins in the file, counted from 1.
  var lines: [Int] = []
  /// Rows with a field that is not of its feature's type, and why.
  var unreadable: [Int: String] = [:]
  /// The whole of each record where all is kept as it is; else a field for each kept column.
  var kept: [RecordField] = []

  var rowCount: Int { lines.count }
}

/// What is read of each record: which of its columns are features, and which are passed through.
struct RecordPlan: Sendable {
  enum Keep: Sendable, Equatable {
    /// Each record in its own words.
    case wholeRecords
    /// Fields of these columns.
    case columns([Int])
  }

  /// The columns, as the first line or the first object has them.
  let names: [String]
  let features: [Signature.Feature]
  /// For each feature the number of its column; nil for one that is not used, which no file needs
  /// to have.
  let places: [Int?]
  let keep: Keep
  /// Whether the answer is to hold every column.
  let keepsAll: Bool

  /// - Parameters:
  ///   - kept: Names of columns to pass through; nil for all.
  ///   - rewrites: Whether records are written in another format than they are read in.
  /// Names are found as `create_scorer` finds columns: exactly, else whatever their case.
  ///
  /// - Throws: `.file` where a feature or a kept column is not there.
  init(
    names: [String], features: [Signature.Feature], kept: [String]?, rewrites: Bool,
    format: RecordFormat
  ) throws(ScoringError) {
    self.names = names
    self.features = features
    var numbers: [String: Int] = [:]
    for (number, name) in names.enumerated() { numbers[name] = number }
    var places: [Int?] = []
    for feature in features {
      places.append(
        feature.isUsed
          ? try Self.place(
            of: feature.name, numbers, names,
            hint: format == .csv
              ? "The first line must name a column for each feature of the model."
              : "The first object must have a member for each feature of the model; write null "
                + "where it has no value.")
          : nil)
    }
    self.places = places
    keepsAll = kept == nil
    if let kept {
      var columns: [Int] = []
      for name in kept {
        columns.append(
          try Self.place(
            of: name, numbers, names, hint: "Give --keep columns that the file has."))
      }
      keep = .columns(columns)
    } else {
      keep = rewrites ? .columns(Array(names.indices)) : .wholeRecords
    }
  }

  private static func place(
    of name: String, _ numbers: [String: Int], _ names: [String], hint: String
  ) throws(ScoringError) -> Int {
    if let number = numbers[name] { return number }
    let alike = names.indices.filter { names[$0].lowercased() == name.lowercased() }
    if alike.count == 1 { return alike[0] }
    throw ScoringError(
      .file, "the file has no column \"\(name)\"",
      detail: "It has \(names.map { "\"\($0)\"" }.joined(separator: ", ")).", hint: hint)
  }
}

internal import FoundationEssentials
internal import Inference
internal import Postgres

/// What a lane must know of a scorer, as `load_scorer` tells it; holds for one revision.
struct ScorerPlan {
  struct Feature: Codable, Equatable {
    /// The model's name for it.
    var input: String
    var column: String
    var type: ElementType
  }

  /// Where an output column's value comes from.
  struct Output: Decodable, Equatable {
    enum RankedPart: String, Decodable { case `class`, probability }

    /// The model's name for it; nil for the columns of the k most probable classes.
    var output: String?
    var column: String
    var type: ColumnType
    /// From 1, the most probable.
    var rank: Int?
    var of: RankedPart?
    /// Came with a later version than the scorer was made for: a version may lack it.
    var appended: Bool?
    /// Of the columns of a reason, from 1, the largest contribution.
    var reason: Int?
    /// Whether the column is written as null: nobody wants it any more.
    var blank: Bool?
  }

  /// The types that prediction columns have, by SQL's names.
  enum ColumnType: String, Decodable {
    case real
    case doublePrecision = "double precision"
    case bigint, boolean, text
    case reals = "real[]"
    case doubles = "double precision[]"
    case bigints = "bigint[]"
    case booleans = "boolean[]"
    case texts = "text[]"

    /// The type of the column that a lane writes: a vector is written as text.
    var element: ElementType { vectorElement == nil ? answer : .string }

    /// The type of a vector's elements; nil where the column has one value.
    var vectorElement: ElementType? {
      switch self {
      case .reals, .doubles, .bigints, .booleans, .texts: answer
      case .real, .doublePrecision, .bigint, .boolean, .text: nil
      }
    }

    /// The type of the model's output.
    var answer: ElementType {
      switch self {
      case .reals: .float32
      case .doubles: .float64
      case .bigints: .int64
      case .booleans: .bool
      case .real: .float32
      case .doublePrecision: .float64
      case .bigint: .int64
      case .boolean: .bool
      case .text, .texts: .string
      }
    }
  }

  var scorer: Int32
  var revision: Int64
  var name: String
  var isRouted: Bool
  /// The alias that routed models are looked up by.
  var alias: String
  var keyTypes: [(element: OID, array: OID)]
  var features: [Feature]
  var outputs: [Output]
  /// How many of each row's largest contributions are written.
  var reasons: Int {
    outputs.filter { $0.blank != true }.compactMap(\.reason).max() ?? 0
  }
  var readKeysSQL: String
  var readRangeSQL: String
  var writeSQL: String
  /// Empty where rows cannot be copied.
  var copySQL: String
  /// The features come from somebody's query and not from the source's columns.
  var readsQuery: Bool
  /// Another version that scores a share of the rows.
  var canary: Canary?
}

extension ScorerPlan {
  /// One of the plan's queries, without the features that a model does not read: PostgreSQL neither
  /// fetches their values from where long ones are kept, nor sends them. With a canary, whether the row
  /// is its comes last.
  ///
  /// Rows stay in the key's order, which the query already has them in.
  func sql(_ query: String, reading reads: [Bool]) -> String {
    guard reads.contains(false) || canary != nil else { return query }
    let keys = keyTypes.indices.map { "c\($0)" }
    let all = features.indices.map { "c\(keys.count + $0)" }
    let read = zip(all, reads).filter(\.1).map(\.0)
    let route = isRouted ? ["c\(keys.count + all.count)"] : []
    let order = (1...max(keys.count, 1)).map(String.init)
    let arm = canary.map { [$0.armSQL] } ?? []
    return "select \((keys + read + route + arm).joined(separator: ", ")) from (\(query)) "
      + "as r (\((keys + all + route).joined(separator: ", "))) "
      + "order by \(order.joined(separator: ", "))"
  }

  /// - Throws: RC201 where it was dropped meanwhile, and its chunks with it.
  static func load(_ scorer: Int32, on connection: Connection) throws(WorkError) -> ScorerPlan {
    let rows = try database { () throws(PostgresError) in
      try connection.run("select * from rowcast.load_scorer(\(scorer))")
    }
    guard rows.count == 1 else {
      throw .postgres(
        PostgresError(sqlState: "RC201", message: "scorer \(scorer) was dropped"))
    }
    do throws(PostgresError) {
      let elements = try rows.value(0, "key_type_oids", as: [Int64].self)
      let arrays = try rows.value(0, "key_array_oids", as: [Int64].self)
      return ScorerPlan(
        scorer: scorer,
        revision: try rows.value(0, "revision", as: Int64.self),
        name: try rows.value(0, "name", as: String.self),
        isRouted: try rows.value(0, "route", as: String?.self) != nil,
        alias: try rows.value(0, "alias", as: String.self),
        keyTypes: zip(elements, arrays).map {
          (
            OID(rawValue: UInt32(truncatingIfNeeded: $0)),
            OID(rawValue: UInt32(truncatingIfNeeded: $1))
          )
        },
        features: try decode(rows.value(0, "features", as: String.self), "features"),
        outputs: try decode(rows.value(0, "outputs", as: String.self), "outputs"),
        readKeysSQL: try rows.value(0, "read_keys_sql", as: String.self),
        readRangeSQL: try rows.value(0, "read_range_sql", as: String.self),
        writeSQL: try rows.value(0, "write_sql", as: String.self),
        copySQL: try rows.value(0, "copy_sql", as: String.self),
        readsQuery: try rows.value(0, "reads_query", as: Bool.self),
        canary: try Canary.load(scorer, on: connection))
    } catch {
      throw .postgres(error)
    }
  }

  static func decode<T: Decodable>(_ json: String, _ what: String) throws(PostgresError)
    -> T
  {
    do {
      return try JSONDecoder().decode(T.self, from: Data(json.utf8))
    } catch {
      throw PostgresError(
        sqlState: "0A000", message: "the scorer's \(what) are of a form this release cannot read",
        detail: "\(error)", hint: "The database is of a newer release; update this worker.")
    }
  }
}

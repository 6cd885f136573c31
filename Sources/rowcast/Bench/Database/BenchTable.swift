import Foundation
import Postgres

/// A table of made-up rows: `id bigint` from 1 on, the model's features, and further columns.
struct BenchTable: Sendable {
  let stage: BenchStage
  /// Qualified.
  let name: String
  /// Quoted.
  let features: [String]

  /// - Parameters:
  ///   - table: One of the program's own names.
  ///   - features: The model's, quoted as identifiers.
  init(_ stage: BenchStage, _ table: String, features: [String]) {
    (self.stage, name, self.features) = (stage, stage.table(table), features)
  }

  /// Columns that are read to score a row.
  var scored: String { (["id"] + features).joined(separator: ", ") }

  private var columns: String { features.map { ", \($0) real not null" }.joined() }

  /// An empty table with its primary key; identities where the rows' writers give no ids.
  func create(
    _ connection: Connection, hasIdentity: Bool = false, further: String = ""
  ) throws {
    let id = hasIdentity ? "bigint generated always as identity primary key" : "bigint primary key"
    try connection.runScript("create table \(name) (id \(id)\(columns)\(further))")
  }

  /// A table of so many rows of about standard normal features, the same at each run with as many
  /// lanes; vacuumed and analysed.
  func create(_ connection: Connection, rows: Int, further: String = "") throws {
    stage.note("\(Format.count(rows)) rows of \(features.count) features")
    try connection.runScript("create table \(name) (id bigint not null\(columns)\(further))")
    // The sum of four uniform numbers, scaled to unit variance.
    let sum = Array(repeating: "random()", count: 4).joined(separator: " + ")
    let values = features.map { _ in ", ((\(sum) - 2) * 1.7320508)::real" }.joined()
    let insert = "insert into \(scoredInto) select i\(values) from generate_series($1, $2) as i"
    let ranges = stage.ranges(rows)
    let stage = stage
    _ = try Crew.run(
      ranges.count, prepare: { _ in try stage.connect() },
      work: { member, connection in
        try connection.runScript("select setseed(\(Double(member) / 1024))")
        try connection.run(
          Query(text: insert, values: [ranges[member].lower, ranges[member].upper]))
      })
    try connection.runScript("alter table \(name) add primary key (id)")
    try connection.runScript("vacuum analyze \(name)")
  }

  private var scoredInto: String { "\(name) (\(scored))" }

  /// Inserts one row; parameters are its features.
  var insertFeatures: String {
    let places = (1...features.count).map { "$\($0)" }.joined(separator: ", ")
    return "insert into \(name) (\(features.joined(separator: ", "))) values (\(places))"
  }

  /// Inserts one row; parameters are its id and its features.
  var insertRow: String {
    let places = (1...features.count + 1).map { "$\($0)" }.joined(separator: ", ")
    return "insert into \(scoredInto) values (\(places))"
  }

  /// Values for a row's features.
  func values(_ random: inout SeededRandom) -> [Float] {
    features.map { _ in Float.random(in: -2...2, using: &random) }
  }
}

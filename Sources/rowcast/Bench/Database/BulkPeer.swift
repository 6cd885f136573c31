import Foundation
import Postgres

/// Another program that scores the same table, timed in turn with the backfill.
///
/// It is started with libpq's environment and what it is to do in `ROWCAST_PEER_…`, writes `ready` once it
/// has connected and warmed up, begins when it reads a line, and ends with a line of JSON:
/// its name, the rows that it scored, and the processor seconds of its own that they took. Its table
/// has the columns of ours; those that tell of the model have defaults, so it writes keys and outputs.
struct BulkPeer: Sendable {
  /// For a shell.
  let command: String

  var title: String { command.split(separator: " ").suffix(2).joined(separator: " ") }

  struct Order {
    let stage: BenchStage
    let source: BenchTable
    let scorer: BenchScorer
    let like: BulkFloor
    let rows: Int
    let modelPath: String
  }

  /// Of one round.
  struct Figure {
    var name: String
    var rowsPerSecond: Double
    var workerMicroseconds: Double
    var largestDifference: Double
    var differing: Int
  }

  /// Medians of all rounds.
  struct Result: Encodable {
    var name: String
    var rounds: [Double]
    var rowsPerSecond: Double
    /// Processor time of the peer a row; the server's is not in it.
    var workerMicroseconds: Double
    /// Between its outputs and ours, relative to ours or to 1.
    var largestDifference: Double
    /// Rows that are apart by more than 1e-5.
    var differing: Int

    init(_ figures: [Figure]) {
      name = figures.first?.name ?? ""
      rounds = figures.map(\.rowsPerSecond)
      rowsPerSecond = Sample(rounds).median ?? 0
      workerMicroseconds = Sample(figures.map(\.workerMicroseconds)).median ?? 0
      largestDifference = figures.map(\.largestDifference).max() ?? 0
      differing = figures.map(\.differing).max() ?? 0
    }
  }

  private struct Answer: Decodable {
    var name: String
    var rows: Int
    var seconds: Double
  }

  func measure(_ order: Order, _ connection: Connection) throws -> Figure {
    let table = order.stage.table("bulk_peer")
    try order.like.makeTable(connection, table)
    defer { _ = try? connection.runScript("drop table \(table)") }
    let outputs = try makeDefaults(connection, table, order)
    let run = try PeerRun(command, environment: environment(order, table, outputs))
    defer { run.end() }
    guard try run.line() == "ready" else {
      throw CommandError(.failed, "the peer \"\(command)\" did not say that it is ready")
    }
    try order.stage.settle(connection)
    let start = ContinuousClock.now
    try run.go()
    let line = try run.line()
    let seconds = Format.seconds(ContinuousClock.now - start)
    let answer = try JSONDecoder().decode(Answer.self, from: Data(line.utf8))
    let found = try connection.run(Query(text: "select count(*) from \(table)"))
      .value(0, 0, as: Int64.self)
    guard answer.rows > 0, found == Int64(answer.rows) else {
      throw CommandError(
        .failed, "the peer \"\(answer.name)\" wrote \(found) rows and speaks of \(answer.rows)")
    }
    let difference = try difference(connection, table, order.scorer, outputs)
    return Figure(
      name: answer.name, rowsPerSecond: Double(answer.rows) / seconds,
      workerMicroseconds: answer.seconds / Double(answer.rows) * 1e6,
      largestDifference: difference.largest, differing: difference.rows)
  }

  /// Gives defaults to all columns but the key and the outputs, and returns these.
  private func makeDefaults(
    _ connection: Connection, _ table: String, _ order: Order
  ) throws -> [String] {
    let constants = try connection.run(
      Query(
        text: """
          select quote_ident(p.attname), p.attname, p.atttypid::regtype::text,
                 p.attname in (select coalesce(o.value ->> 'column', '')
                               from rowcast.scorer as s, jsonb_array_elements(s.outputs) as o (value)
                               where s.name = $2)
          from pg_attribute as p
          where p.attrelid = to_regclass($1) and p.attnum > 0 and p.attname <> 'id'
            and not p.atthasdef and not p.attisdropped
          order by p.attnum
          """, values: [table, order.scorer.name]))
    var outputs: [String] = []
    for row in 0..<constants.count {
      let name = try constants.value(row, 0, as: String.self)
      if try constants.value(row, 3, as: Bool.self) {
        outputs.append(try constants.value(row, 1, as: String.self))
      } else {
        let value = try connection.run(
          Query(
            text:
              "select quote_nullable(\(name)::text) from \(order.scorer.predictions) limit 1")
        ).value(0, 0, as: String.self)
        try connection.runScript("alter table \(table) alter column \(name) set default \(value)")
      }
    }
    return outputs
  }

  private func environment(_ order: Order, _ table: String, _ outputs: [String]) -> [String: String]
  {
    var environment = WorkerProcesses.environment(order.stage.settings)
    environment["ROWCAST_PEER_SOURCE"] = order.source.name
    environment["ROWCAST_PEER_TARGET"] = table
    environment["ROWCAST_PEER_FEATURES"] = order.source.features.joined(separator: ",")
    environment["ROWCAST_PEER_OUTPUTS"] = outputs.joined(separator: ",")
    environment["ROWCAST_PEER_ROWS"] = "\(order.rows)"
    environment["ROWCAST_PEER_PROCESSES"] = "\(order.stage.lanes)"
    environment["ROWCAST_PEER_MODEL"] = order.modelPath
    return environment
  }

  private func difference(
    _ connection: Connection, _ table: String, _ scorer: BenchScorer, _ outputs: [String]
  ) throws -> (largest: Double, rows: Int) {
    let names = try scorer.stage.quoted(identifiers: outputs)
    let apart = names.map {
      "abs(p.\($0)::float8 - o.\($0)::float8) / greatest(abs(o.\($0)::float8), 1)"
    }.joined(separator: ", ")
    let found = try connection.run(
      Query(
        text:
          "select max(d), count(*) filter (where d > 1e-5) from (select greatest(\(apart)) as d "
          + "from \(table) as p join \(scorer.predictions) as o using (id)) as a"))
    return (try found.value(0, 0), Int(try found.value(0, 1, as: Int64.self)))
  }
}

/// The process of a peer, by whose lines it is led.
private final class PeerRun {
  private let command: String
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var buffer: [UInt8] = []

  init(_ command: String, environment: [String: String]) throws {
    self.command = command
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", "exec " + command]
    process.environment = environment
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  func go() throws { try input.fileHandleForWriting.write(contentsOf: Data("go\n".utf8)) }

  func line() throws -> String {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeSubrange(...end)
        return line
      }
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else {
        process.waitUntilExit()
        throw CommandError(
          .failed, "the peer \"\(command)\" ended with status \(process.terminationStatus)",
          hint: "What it wrote to standard error says why.")
      }
      buffer += more
    }
  }

  func end() {
    try? input.fileHandleForWriting.close()
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
  }
}

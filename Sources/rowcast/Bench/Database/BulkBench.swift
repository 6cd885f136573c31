import Foundation
import Postgres

/// Backfills a table and scores it again, beside the least that the server needs for either.
///
/// The floor of a backfill reads with `COPY (select key, features … by key range) TO '/dev/null'` and
/// writes with `COPY … FROM` files of the very predictions that the backfill made, both in binary, by as
/// many connections as lanes, into a table with the same columns, fillfactor and primary key. The
/// floor of scoring again is `INSERT … SELECT key, constants … ON CONFLICT DO UPDATE` over that table.
struct BulkBench {
  let stage: BenchStage
  let workers: WorkerProcesses
  let rows: Int
  let repeats: Int
  let peers: [BulkPeer]

  /// Figures of all rounds.
  private struct Rounds {
    var scored: [Double] = []
    var read: [Double] = []
    var written: [Double] = []
    var rescored: [Double] = []
    var replaced: [Double] = []
    var segments: [Double] = []
    var peers: [[BulkPeer.Figure]] = []
    var costs: [CostRow: [Cost.PerRow]] = [:]
  }

  private enum CostRow { case backfill, read, write, segments, rescore, replace }

  func run(model: String, modelPath: String, features: [String]) throws
    -> (BenchReport.Bulk, BenchReport.Rescore)
  {
    let connection = try stage.connect()
    let source = BenchTable(stage, "bulk", features: features)
    try source.create(connection, rows: rows)
    let scorer = BenchScorer(stage, "bulk", workers: workers)
    let meter = try Meter(connection, workers: workers.processIDs)
    var rounds = Rounds()
    for round in 1...repeats {
      let title = "bulk \(round)/\(repeats): "
      stage.note(title + "backfill")
      rounds.scored.append(
        try measure(.backfill, scorer, connection, meter, &rounds) {
          try scorer.create(connection, source: source, model: model)
        })
      try scorer.verify(connection, rows: rows)
      let floor = BulkFloor(
        stage: stage, source: source, predictions: scorer.predictions, rows: rows)
      try floor.prepare(connection)
      stage.note(title + "floor")
      rounds.read.append(
        try measure(.read, meter, connection, &rounds) { try floor.read() })
      rounds.written.append(
        try measure(.write, meter, connection, &rounds) { try floor.write() })
      stage.note(title + "job into segments")
      let job = BenchJob(stage, "bulk_segments", workers: workers)
      rounds.segments.append(
        try measure(.segments, meter, connection, &rounds, isScored: true) {
          try job.run(connection, model: model, source: source, mode: "segments")
        })
      try job.verify(connection, like: scorer, rows: rows)
      try job.drop(connection)
      if !peers.isEmpty {
        let order = BulkPeer.Order(
          stage: stage, source: source, scorer: scorer, like: floor, rows: rows,
          modelPath: modelPath)
        rounds.peers.append(
          try peers.map { peer in
            stage.note(title + peer.title)
            return try peer.measure(order, connection)
          })
      }
      // As long after the rows were written, when vacuum has been there.
      try connection.runScript("vacuum \(scorer.predictions)")
      try connection.runScript("vacuum \(floor.table)")
      stage.note(title + "scoring again")
      rounds.rescored.append(
        try measure(.rescore, scorer, connection, meter, &rounds) {
          try connection.run("select rowcast.rescore(\(scorer.name))")
        })
      try scorer.verify(connection, rows: rows)
      stage.note(title + "floor of scoring again")
      rounds.replaced.append(
        try measure(.replace, meter, connection, &rounds) { try floor.replace() })
      try scorer.drop(connection)
      try floor.drop(connection)
    }
    try connection.runScript("drop table \(source.name)")
    return report(rounds, features: features.count)
  }

  /// Rows per second from the call of `start` to the last prediction written.
  private func measure(
    _ row: CostRow, _ scorer: BenchScorer, _ connection: Connection, _ meter: Meter,
    _ rounds: inout Rounds, start body: () throws -> Void
  ) throws -> Double {
    try stage.settle(connection)
    let counters = try meter.counters()
    let reading = try meter.reading()
    let start = ContinuousClock.now
    try body()
    let finish = try scorer.wait(connection)
    var cost = try meter.cost(since: reading, rows: rows)
    try meter.complete(
      &cost, since: counters, table: scorer.predictions, looks: finish.looks)
    rounds.costs[row, default: []].append(cost.perRow)
    return Double(rows) / Format.seconds(finish.at - start)
  }

  /// Rows per second of a floor, or (`isScored`) of what workers do.
  private func measure(
    _ row: CostRow, _ meter: Meter, _ connection: Connection, _ rounds: inout Rounds,
    isScored: Bool = false, _ body: () throws -> Duration
  ) throws -> Double {
    try stage.settle(connection)
    let reading = try meter.reading()
    let duration = try body()
    rounds.costs[row, default: []].append(
      try meter.cost(since: reading, rows: rows, isScored: isScored).perRow)
    return Double(rows) / Format.seconds(duration)
  }

  private func report(_ rounds: Rounds, features: Int) -> (
    BenchReport.Bulk, BenchReport.Rescore
  ) {
    func median(_ values: [Double]) -> Double { Sample(values).median ?? 0 }
    func cost(_ row: CostRow) -> Cost.PerRow { .median(rounds.costs[row] ?? []) }
    let floor = 1 / (1 / median(rounds.read) + 1 / median(rounds.written))
    let bulk = BenchReport.Bulk(
      rows: rows, features: features, scored: rounds.scored, read: rounds.read,
      written: rounds.written, rowsPerSecond: median(rounds.scored),
      readRowsPerSecond: median(rounds.read), writtenRowsPerSecond: median(rounds.written),
      floorRowsPerSecond: floor, ratio: median(rounds.scored) / floor, cost: cost(.backfill),
      readCost: cost(.read), writeCost: cost(.write), segments: rounds.segments,
      segmentsRowsPerSecond: median(rounds.segments), segmentsCost: cost(.segments),
      peers: peers.indices.map { index in
        BulkPeer.Result(rounds.peers.map { $0[index] })
      })
    let rescore = BenchReport.Rescore(
      rows: rows, rescored: rounds.rescored, floor: rounds.replaced,
      rowsPerSecond: median(rounds.rescored), floorRowsPerSecond: median(rounds.replaced),
      ratio: median(rounds.rescored) / median(rounds.replaced), cost: cost(.rescore),
      floorCost: cost(.replace))
    return (bulk, rescore)
  }
}

extension BenchReport {
  struct Bulk: Encodable {
    var rows: Int
    var features: Int
    /// Rows per second, a value a repeat.
    var scored: [Double]
    var read: [Double]
    var written: [Double]
    /// Medians.
    var rowsPerSecond: Double
    var readRowsPerSecond: Double
    var writtenRowsPerSecond: Double
    /// 1 / (1/read + 1/write), of the medians.
    var floorRowsPerSecond: Double
    var ratio: Double
    /// What a row cost, and a row of the floors.
    var cost: Cost.PerRow
    var readCost: Cost.PerRow
    var writeCost: Cost.PerRow
    /// A job with `mode => 'segments'`; rows per second, a value a repeat.
    var segments: [Double]
    var segmentsRowsPerSecond: Double
    var segmentsCost: Cost.PerRow
    var peers: [BulkPeer.Result]
  }

  struct Rescore: Encodable {
    var rows: Int
    /// Rows per second, a value a repeat.
    var rescored: [Double]
    var floor: [Double]
    /// Medians.
    var rowsPerSecond: Double
    var floorRowsPerSecond: Double
    var ratio: Double
    /// What a row cost, and a row of the floor.
    var cost: Cost.PerRow
    var floorCost: Cost.PerRow
  }
}

extension BenchReport.Bulk {
  var lines: [String] {
    var table = TextTable(
      [
        ("bulk, \(Format.count(rows)) rows x \(features) features", .left), ("rows/s", .right),
        ("of floor", .right),
      ] + Cost.PerRow.titles)
    table.append(["read features (COPY out)", Format.rate(readRowsPerSecond), ""] + readCost.cells)
    table.append(
      ["write predictions (COPY in)", Format.rate(writtenRowsPerSecond), ""] + writeCost.cells)
    table.append(
      ["floor = 1 / (1/read + 1/write)", Format.rate(floorRowsPerSecond), "1.00"]
        + Cost.PerRow.titles.map { _ in "" })
    table.append(
      [
        "backfill, create_scorer to last prediction", Format.rate(rowsPerSecond),
        Format.decimal(ratio, places: 2),
      ] + cost.cells)
    table.append(
      [
        "job into segments, submit_job to its end", Format.rate(segmentsRowsPerSecond),
        Format.decimal(segmentsRowsPerSecond / floorRowsPerSecond, places: 2),
      ] + segmentsCost.cells)
    return table.lines + peerLines
  }

  private var peerLines: [String] {
    guard !peers.isEmpty else { return [] }
    var table = TextTable([
      ("peers on the same table, in turn", .left), ("rows/s", .right), ("ours / theirs", .right),
      ("segments / theirs", .right), ("worker us", .right), ("theirs / ours", .right),
      ("most apart", .right),
      ("rows apart", .right),
    ])
    for peer in peers {
      table.append([
        peer.name, Format.rate(peer.rowsPerSecond),
        Format.decimal(rowsPerSecond / peer.rowsPerSecond, places: 2),
        Format.decimal(segmentsRowsPerSecond / peer.rowsPerSecond, places: 2),
        Format.decimal(peer.workerMicroseconds, places: 2),
        cost.workerMicroseconds.map {
          Format.decimal(peer.workerMicroseconds / $0, places: 1)
        } ?? "", String(format: "%.1e", peer.largestDifference), Format.count(peer.differing),
      ])
    }
    return [""] + table.lines
  }
}

extension BenchReport.Rescore {
  var lines: [String] {
    var table = TextTable(
      [
        ("scoring \(Format.count(rows)) rows again", .left), ("rows/s", .right),
        ("of floor", .right),
      ] + Cost.PerRow.titles)
    table.append(
      ["floor: INSERT … ON CONFLICT DO UPDATE", Format.rate(floorRowsPerSecond), "1.00"]
        + floorCost.cells)
    table.append(
      [
        "rescore to last prediction", Format.rate(rowsPerSecond), Format.decimal(ratio, places: 2),
      ] + cost.cells)
    return table.lines
  }
}

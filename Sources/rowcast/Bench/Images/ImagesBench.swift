import ArgumentParser
import Foundation
import Inference
import Postgres
import Scoring

struct ImagesBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "images",
    abstract: "Measure a table of JPEGs through the pipeline, beside the engine alone.",
    discussion: """
      On a throw-away PostgreSQL with fsync on, scored by a worker process: a table of photographs that \
      are made up, scored as a whole by a new scorer. The engine's own rate is that of as many threads \
      that decode, prepare and score the same JPEGs in memory, measured before and after.

      EXAMPLE
        rowcast bench images
        rowcast bench images --model resnet50.onnx --preset torchvision --softmax --rows 10000
      """)

  @Option(help: "Rows of the table.")
  var rows = 10_000

  @Option(help: ArgumentHelp("Width and height of the photographs.", valueName: "WxH"))
  var size = ImageSize.pixels(width: 500, height: 375)

  @Option(help: "Lanes of the worker. Default: the cores.")
  var lanes: Int?

  @Option(
    help: ArgumentHelp("A network of images. Default: the one of the demo.", valueName: "file"))
  var model: String?

  @Option(help: "Images that the engine scores at once when it is measured alone.")
  var batch = 8

  @Option(help: "Seconds of each measurement of the engine.")
  var seconds = 3.0

  @OptionGroup var setup: SetupOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard rows >= 100 else { throw ValidationError("--rows must be 100 or more") }
    if let lanes, lanes < 1 { throw ValidationError("--lanes must be 1 or more") }
    guard batch > 0, seconds > 0 else {
      throw ValidationError("--batch and --seconds must be more than 0")
    }
    guard case .pixels = size else { throw ValidationError("--size is a width and a height") }
  }

  func run() throws {
    var setup = try setup.resolved()
    if model == nil { setup.softmax = true }
    if setup.image == nil { setup.image = ImageSetup() }
    let bytes = try ModelFile.bytes(path: try model ?? Share.path("deploy/demo/images/digits.onnx"))
    guard case .pixels(let width, let height) = size else { return }
    let photographs = SyntheticImages.jpegs(
      count: min(rows, 200), width: width, height: height, seed: 42)
    let place = try TemporaryDirectory.make("bench")
    defer { TemporaryDirectory.remove(place) }
    let appliance = try Appliance(.init(directory: place + "/postgres"))
    defer { try? appliance.server.stop(.immediate) }
    let laneCount = lanes ?? Machine.coreCount
    let run = ImagesRun(
      stage: BenchStage(
        settings: appliance.database, lanes: laneCount, serverDirectory: place + "/postgres"),
      rows: rows, photographs: photographs, bytes: bytes, setup: setup, batch: batch,
      seconds: seconds)
    let report = try run.measure()
    Terminal.standardOutput.line(output.json ? try JSONText.of(report) : report.text)
    guard report.scored == rows else { throw ExitCode(CommandError.Status.failed.rawValue) }
  }
}

/// The engine alone, then the pipeline, then the engine again.
struct ImagesRun {
  let stage: BenchStage
  let rows: Int
  let photographs: [[UInt8]]
  let bytes: [UInt8]
  let setup: ModelSetup
  let batch: Int
  let seconds: Double

  func measure() throws -> ImagesReport {
    let model = try Model.load(bytes, options: ModelOptions(setup: setup))
    guard model.signature.features.count == 1, model.signature.features[0].image != nil else {
      throw CommandError(.badData, "the model reads something else than one image")
    }
    let classes = model.signature.outputs.count {
      $0.role == .probability && $0.className != nil
    }
    let workers = WorkerProcesses(database: stage.settings)
    defer { workers.kill() }
    let connection = try stage.connect()
    try fill(connection, column: model.signature.features[0].name)
    try connection.run(
      """
      select rowcast.register_model(name => 'bench', artifact => \(bytes), alias => 'champion', \
      setup => \(JSON(setup.json)))
      """)
    try workers.start(0, .init(lanes: stage.lanes))
    try connection.run("call rowcast.wait_for_model('bench', timeout => '10 minutes')")
    try workers.waitUntilReady(connection)

    stage.note("the engine alone")
    let before = try engineRate(model)
    stage.note("the pipeline")
    let scorer = BenchScorer(stage, "images", workers: workers)
    let clock = ContinuousClock()
    let start = clock.now
    let topCount = classes > 5 ? Int32(5) : 0
    try connection.run(
      """
      select count(*) from rowcast.create_scorer(name => \(scorer.name), \
      source => 'rowcast_bench.photo', model => 'bench', top_k => nullif(\(topCount), 0))
      """)
    let finish = try scorer.wait(connection)
    let pipeline = Double(rows) / Format.seconds(finish.at - start)
    let scored = try connection.run(
      "select count(*) from \(identifier: "predictions", scorer.name)"
    )
    .value(0, 0, as: Int64.self)
    let chunkRows = try connection.run(
      "select chunk_rows from rowcast.scorer where name = \(scorer.name)"
    ).value(0, 0, as: Int32.self)
    stage.note("the engine alone, again")
    let after = try engineRate(model)
    return ImagesReport(
      lanes: stage.lanes, rows: rows,
      bytesPerImage: photographs.map(\.count).reduce(0, +)
        / max(photographs.count, 1), scored: Int(scored), enginePerSecond: [before, after],
      pipelinePerSecond: pipeline, chunkRows: Int(chunkRows))
  }

  private func fill(_ connection: Connection, column: String) throws {
    stage.note("\(Format.count(rows)) rows, \(photographs.count) different photographs")
    let name = try stage.quoted(identifiers: [column])[0]
    try connection.runScript(
      """
      create schema \(BenchStage.schema);
      create table \(stage.table("sample")) (number int primary key, image bytea);
      create table \(stage.table("photo")) (photo_id bigint primary key, \(name) bytea not null);
      alter table \(stage.table("photo")) alter column \(name) set storage external;
      """)
    for (number, photograph) in photographs.enumerated() {
      try connection.run(
        "insert into rowcast_bench.sample values (\(Int32(number)), \(photograph))")
    }
    try connection.runScript(
      """
      insert into \(stage.table("photo")) select i, s.image from generate_series(1, \(rows)) as i
      join \(stage.table("sample")) as s on s.number = i % \(photographs.count)
      """)
    // Not in a transaction, as a script of several statements is.
    try connection.runScript("vacuum analyze \(stage.table("photo"))")
    try stage.settle(connection)
  }

  /// Images a second of all threads together.
  private func engineRate(_ model: Model) throws -> Double {
    let count = max(batch * 4, 64)
    let images = (0..<count).map { photographs[$0 % photographs.count] }
    let timer = EngineTimer(
      model: model, rows: Batch(rowCount: count, columns: [Column(.bytes(images))]), repeats: 3,
      seconds: seconds)
    return try timer.measure(batch: batch, threads: stage.lanes).rowsPerSecond
  }
}

/// What `bench images` found.
struct ImagesReport: Encodable {
  var machine = BenchMachine.name
  var cores = Machine.coreCount
  var commit = BenchMachine.commit()
  var lanes: Int
  var rows: Int
  var bytesPerImage: Int
  var scored: Int
  /// Before and after the pipeline.
  var enginePerSecond: [Double]
  var pipelinePerSecond: Double
  /// Rows of a chunk at the end.
  var chunkRows: Int

  private enum CodingKeys: String, CodingKey {
    case machine, cores, commit, lanes, rows, bytesPerImage, scored, enginePerSecond,
      pipelinePerSecond, chunkRows, ratio
  }

  /// To the engine's own rate.
  var ratio: Double {
    pipelinePerSecond * Double(enginePerSecond.count) / enginePerSecond.reduce(0, +)
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(machine, forKey: .machine)
    try values.encode(cores, forKey: .cores)
    try values.encodeIfPresent(commit, forKey: .commit)
    try values.encode(lanes, forKey: .lanes)
    try values.encode(rows, forKey: .rows)
    try values.encode(bytesPerImage, forKey: .bytesPerImage)
    try values.encode(scored, forKey: .scored)
    try values.encode(enginePerSecond, forKey: .enginePerSecond)
    try values.encode(pipelinePerSecond, forKey: .pipelinePerSecond)
    try values.encode(chunkRows, forKey: .chunkRows)
    try values.encode(ratio, forKey: .ratio)
  }

  var text: String {
    """
    \(machine), \(cores) cores; \(lanes) lanes\(commit.map { "; \($0)" } ?? "")
    \(Format.count(rows)) JPEGs of \(Format.bytes(bytesPerImage)), \(Format.count(scored)) scored
      engine alone   \(enginePerSecond.map { Format.rate($0) }.joined(separator: ", then ")) images/s
      pipeline       \(Format.rate(pipelinePerSecond)) images/s, chunks of \(chunkRows) rows
      ratio          \(Format.decimal(ratio, places: 2))
    """
  }
}

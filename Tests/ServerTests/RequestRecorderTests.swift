import Foundation
import Inference
import Logging
import Postgres
import Scoring
import Server
import TestSupport
import Testing

/// What the recorder was given is in the database once, whatever that says meanwhile; and no more of it waits than
/// may.
@Suite(.database) struct RequestRecorderTests {
  /// A recorder of the model 1, whose thread runs when a test has it run.
  private struct Scene {
    let recorder: RequestRecorder
    let log = RecordedLog()
    let connection: Connection

    init(
      _ limits: RequestRecorder.Limits = .init(), withInputs: Bool = false, over proxy: Proxy? = nil
    ) throws {
      let settings = Database.current.settings
      connection = try Connection(settings)
      recorder = RequestRecorder(
        settings: proxy?.settings(settings) ?? settings, limits: limits, logger: log.logger)
      recorder.replace(with: [1: Recording(share: 1, hasInputs: withInputs)])
    }

    func count(_ what: String) throws -> Int {
      try Int(
        connection.run(Query(text: "select count(\(what)) from rowcast.request_record"))
          .value(0, 0, as: Int64.self))
    }

    func lines(_ message: String) -> [RecordedLog.Line] {
      log.lines.filter { $0.message == message }
    }
  }

  /// A model, and what it says of rows.
  private struct Answer: Sendable {
    let model: LoadedModel
    let batch: Batch
    let predictions: Predictions

    init(rows: Int = 1) throws {
      let path = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../InferenceTests/Fixtures/lightgbm_multiclass/model.txt").standardized
      model = LoadedModel(
        id: ModelVersionID(model: 1, version: 1), name: "bank",
        model: try Model.load([UInt8](Data(contentsOf: path))))
      batch = Batch(
        rowCount: rows,
        columns: (0..<5).map { Column(.float64([Double](repeating: Double($0), count: rows))) })
      predictions = try model.model.predict(batch, workspace: Workspace())
    }

    func give(
      to recorder: RequestRecorder, as name: String, unreadable: [Int: String] = [:]
    ) {
      recorder.add(
        model, batch, predictions, unreadable: unreadable,
        from: RequestOrigin(id: name, route: "/predict"))
    }
  }

  @Test func aRefusedRequestIsLostAlone() throws {
    let scene = try Scene()
    let answer = try Answer()
    try scene.connection.runScript(
      "alter table rowcast.request_record add constraint closed check (request_id !~ '^no')")
    for number in 0..<1000 {
      answer.give(to: scene.recorder, as: number % 400 == 7 ? "no-\(number)" : "yes-\(number)")
    }
    scene.recorder.stop()
    scene.recorder.run()
    let figures = scene.recorder.figures
    #expect(figures.written == 997 && figures.lost == 3 && figures.waiting == 0, "\(figures)")
    #expect(try scene.count("distinct request_id") == 997)
    #expect(try scene.count("*") == 997)
    let line = try #require(scene.lines("the database refused to record requests").first)
    #expect(line.metadata["request.id"] == "no-7" && line.metadata["sqlstate"] == "23514")
    #expect(line.metadata["reason"]?.contains("closed") == true)
  }

  /// What the database says when it has nothing against the records.
  @Test(arguments: [
    "25006", "55P03", "57014", "40001", "40P01", "08006", "57P01", "57P03", "53100", "53300",
    "42501",
  ])
  func whatMayPassIsWaitedFor(code: String) async throws {
    let scene = try Scene()
    let answer = try Answer()
    try scene.connection.runScript(
      """
      create table public.fault (code text);
      insert into public.fault values ('\(code)');
      create sequence public.tries;
      create function public.fail() returns trigger language plpgsql security definer as $$
      declare
          code text := (select f.code from public.fault as f);
      begin
          perform nextval('public.tries');
          if code is not null then
              raise exception 'not now' using errcode = code;
          end if;
          return null;
      end $$;
      create trigger fail after insert on rowcast.request_record for each statement
      execute function public.fail();
      """)
    for number in 0..<50 { answer.give(to: scene.recorder, as: "\(number)") }
    let thread = WorkThread(name: "record") { [recorder = scene.recorder] in recorder.run() }
    try await ServerScene.eventually {
      try scene.connection.run("select last_value from public.tries").value(0, 0, as: Int64.self)
        >= 2
    }
    // Those that come meanwhile wait too.
    for number in 50..<60 { answer.give(to: scene.recorder, as: "\(number)") }
    #expect(scene.recorder.figures.waiting == 60 && scene.recorder.figures.lost == 0)
    try scene.connection.runScript("truncate public.fault")
    try await ServerScene.eventually { scene.recorder.figures.waiting == 0 }
    scene.recorder.stop()
    await thread.wait()
    #expect(scene.recorder.figures.written == 60 && scene.recorder.figures.lost == 0)
    #expect(try scene.count("*") == 60 && scene.count("distinct request_id") == 60)
    let complaints = scene.lines("requests are not recorded")
    #expect(complaints.map { $0.metadata["reason"] } == ["not now"])
    #expect(scene.lines("requests are recorded again").count == 1)
  }

  /// Nobody hears whether they were committed.
  @Test(arguments: [false, true]) func whatIsLostInItsCommitIsThereOnce(isHeard: Bool) async throws
  {
    let proxy = try Proxy(to: Database.current.settings)
    defer { proxy.close() }
    let scene = try Scene(over: proxy)
    let answer = try Answer()
    proxy.set(.losing(at: ["add_request_records", "commit"], isHeard: isHeard))
    for number in 0..<300 { answer.give(to: scene.recorder, as: "\(number)") }
    let thread = WorkThread(name: "record") { [recorder = scene.recorder] in recorder.run() }
    try await ServerScene.eventually { scene.recorder.figures.waiting == 0 }
    for number in 300..<310 { answer.give(to: scene.recorder, as: "\(number)") }
    scene.recorder.stop()
    await thread.wait()
    #expect(scene.recorder.figures.written == 310 && scene.recorder.figures.lost == 0)
    #expect(try scene.count("*") == 310 && scene.count("distinct request_id") == 310)
    #expect(scene.lines("requests are not recorded").count == 1)
  }

  @Test func whatManyThreadsGiveIsWrittenOnce() async throws {
    let scene = try Scene()
    let answer = try Answer()
    let thread = WorkThread(name: "record") { [recorder = scene.recorder] in recorder.run() }
    let givers = (0..<4).map { giver in
      Background { [recorder = scene.recorder] in
        for number in 0..<2000 { answer.give(to: recorder, as: "\(giver) \(number)") }
      }
    }
    for giver in givers { try giver.value() }
    scene.recorder.stop()
    await thread.wait()
    #expect(scene.recorder.figures.written == 8000 && scene.recorder.figures.lost == 0)
    #expect(try scene.count("*") == 8000 && scene.count("distinct request_id") == 8000)
    #expect(scene.log.lines.isEmpty)
  }

  /// Reasons are memory as values are.
  @Test func memoryOfWhatWaitsIsBounded() throws {
    var limits = RequestRecorder.Limits()
    limits.byteCount = 1 << 20
    let scene = try Scene(limits)
    let answer = try Answer(rows: 10_000)
    let reasons = Dictionary(
      uniqueKeysWithValues: (0..<10_000).map { ($0, String(repeating: "x", count: 100)) })
    for _ in 0..<20 { answer.give(to: scene.recorder, as: "large", unreadable: reasons) }
    // One is taken in any case.
    #expect(scene.recorder.figures.waiting == 1 && scene.recorder.figures.lost == 19)
    scene.recorder.stop()
    scene.recorder.run()
    #expect(scene.recorder.figures.written == 1)
    #expect(try scene.count("*") == 40)
  }

  /// The requests are few, their records many.
  @Test func asMuchIsPrunedAsIsWritten() throws {
    var limits = RequestRecorder.Limits()
    limits.byteCount = 1 << 30
    let scene = try Scene(limits)
    try scene.connection.runScript(
      """
      insert into rowcast.request_record (scored_at, model, model_version, request_id, route, latency, first_row,
                                          outputs)
      select now() - interval '40 days', 'bank', 1, 'old', '/', '1 s', 0, '[]' from generate_series(1, 15000)
      """)
    // Without outputs, that is.
    let answer = try Answer(rows: 10_240)
    let reasons = Dictionary(uniqueKeysWithValues: (0..<10_240).map { ($0, "x") })
    for _ in 0..<101 { answer.give(to: scene.recorder, as: "new", unreadable: reasons) }
    scene.recorder.stop()
    scene.recorder.run()
    #expect(scene.recorder.figures.written == 101)
    #expect(try scene.count("*") == 101 * 40 + 5000)
  }

  @Test func whatWaitsKeepsNoModelInMemory() throws {
    final class Model { weak var loaded: LoadedModel? }
    let scene = try Scene(withInputs: true)
    let model = Model()
    do {
      let answer = try Answer(rows: 3)
      model.loaded = answer.model
      answer.give(to: scene.recorder, as: "last")
      #expect(model.loaded != nil)
    }
    #expect(model.loaded == nil && scene.recorder.figures.waiting == 1)
    scene.recorder.stop()
    scene.recorder.run()
    #expect(
      try scene.connection.run(
        """
        select model, model_version, (inputs ->> 'age_days')::float8 = 1 and outputs ? 'label'
        from rowcast.recorded_predictions where request_id = 'last' and row_number = 2
        """
      ).value(0, 2, as: Bool.self))
  }
}

import Inference
import ModelFixtures
import Postgres
import Scoring
import TestSupport
import Testing

/// What a prediction holds of classes, objects and vectors, as rows and typed columns.
@Suite(.database, .timeLimit(.minutes(3)))
struct ResultRowTests {
  /// Two boxes of the whole image and its middle, whose scores are how red and how green it is.
  private static let detector: [UInt8] = {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.initializer(
      "means",
      .init(dims: [48, 2], .floats((0..<96).map { $0 / 2 / 16 == $0 % 2 ? Float(1) / 16 : 0 })))
    model.initializer("last", .init(dims: [1], .ints([2])))
    model.initializer("corners", .init(dims: [1, 2, 4], .floats([0, 0, 4, 4, 1, 1, 3, 2])))
    model.initializer("kinds", .init(dims: [1, 2, 1], .floats([1, 0])))
    model.initializer("zero", .init(dims: [], .floats([0])))
    model.node("Flatten", ["picture"], ["flat"])
    model.node("MatMul", ["flat", "means"], ["shares"])
    model.node("Unsqueeze", ["shares", "last"], ["column"])
    model.node("Mul", ["column", "zero"], ["nothing"])
    model.node("Add", ["nothing", "corners"], ["found"])
    model.node("Add", ["nothing", "kinds"], ["kind"])
    model.node("Concat", ["found", "column", "kind"], ["output0"], [("axis", .int(2))])
    model.output("output0", .float, [nil, 2, 6])
    return model.bytes()
  }()

  private static let objects = #"{"image": {"preset": "plain"}, "objects": {}}"#

  /// The mean of each colour, as one vector.
  private static let means: [UInt8] = {
    var model = OnnxWriter(opset: 17)
    model.input("picture", .float, [nil, 3, 4, 4])
    model.node(
      "ReduceMean", ["picture"], ["embedding"], [("axes", .ints([2, 3])), ("keepdims", .int(0))])
    model.output("embedding", .float, [nil, 3])
    return model.bytes()
  }()

  private static func push(
    _ name: String, _ bytes: [UInt8], _ setup: String, labels: [String]? = nil,
    golden: String? = nil, device: Device? = nil, _ connection: Connection
  ) throws -> Registry.Pushed {
    try Registry(connection).push(
      .init(
        name: name, bytes: bytes, alias: "champion", labels: labels,
        goldenCSV: golden.map { Array($0.utf8) }, setup: ModelSetup.read(json: setup),
        device: device))
  }

  private static func makeShots(_ connection: Connection) throws {
    try connection.runScript("create table shot (shot_id bigint primary key, picture bytea)")
    let pictures = [
      ColourModel.picture((255, 128, 0)), ColourModel.picture((10, 200, 0)),
      ColourModel.picture((0, 0, 255)), Array("no picture".utf8),
    ]
    for (index, picture) in pictures.enumerated() {
      try connection.run("insert into shot values (\(Int64(index + 1)), \(picture))")
    }
  }

  private static func lines(_ sql: String, _ connection: Connection) throws -> [String] {
    let rows = try connection.run(Query(text: sql))
    return try (0..<rows.count).map { try rows.value($0, 0, as: String.self) }
  }

  @Test func topClassesAreRowsOfAView() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try ImageScoringTests.prepare(scene, connection)
      for (id, colour) in [(1, (250, 90, 20)), (2, (10, 240, 200))]
        as [(Int64, (UInt8, UInt8, UInt8))]
      {
        let picture = ColourModel.picture(colour)
        try connection.run("insert into shot (shot_id, picture) values (\(id), \(picture))")
      }
      try scene.settle(connection)
      let sql = """
        select concat_ws(' ', shot_id, rank, label, score > 0, model_name) \
        from predictions.shot_colour_classes order by shot_id, rank
        """
      #expect(
        try Self.lines(sql, connection) == [
          "1 1 red t colours", "1 2 green t colours", "2 1 green t colours", "2 2 blue t colours",
        ])
      #expect(
        try Self.lines(
          """
          select bool_and((c.label, c.score) = case c.rank when 1 then (p.top_1, p.top_1_probability)
                                                    else (p.top_2, p.top_2_probability) end)::text
          from predictions.shot_colour as p join predictions.shot_colour_classes as c using (shot_id)
          """, connection) == ["true"])
      // Readers may read it, and it goes with its scorer.
      #expect(
        try Self.lines(
          "select has_table_privilege('rowcast_reader', 'predictions.shot_colour_classes', 'select')::text",
          connection) == ["true"])
      try connection.run("select rowcast.drop_scorer('shot_colour')")
      #expect(
        try Self.lines(
          "select (to_regclass('predictions.shot_colour_classes') is null)::text", connection)
          == ["true"])
    }
  }

  @Test func aViewThatProtectedPredictionsHaveKeepsTheirRows() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try ImageScoringTests.prepare(scene, connection)
      let picture = ColourModel.picture((250, 90, 20))
      try connection.run("insert into shot (shot_id, picture) values (1, \(picture))")
      try scene.settle(connection)
      try connection.runScript(
        """
        select rowcast.protect_predictions('shot_colour');
        create role peeper; grant rowcast_reader to peeper; set role peeper
        """)
      defer { try? connection.runScript("reset role; drop owned by peeper; drop role peeper") }
      if try connection.run("select current_setting('server_version_num')::int >= 150000")
        .value(0, 0, as: Bool.self)
      {
        // Who may not read the source may not read what was found in it.
        let error = #expect(throws: PostgresError.self) {
          try connection.run("select * from predictions.shot_colour_classes")
        }
        #expect(error?.sqlState == "42501")
      } else {
        #expect(
          try Self.lines(
            "select (to_regclass('predictions.shot_colour_classes') is null)::text", connection)
            == ["true"])
      }
    }
  }

  @Test func objectsAreRowsOfAView() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      _ = try Self.push(
        "finder", Self.detector, Self.objects, labels: ["leaf", "a \"red\" apple"], connection)
      try Self.makeShots(connection)
      try connection.run(
        "select * from rowcast.create_scorer('thing', 'public.shot', model => 'finder')")
      try scene.settle(connection)
      let sql = """
        select concat_ws(' ', shot_id, object, label, round(score::numeric, 1), x1, y1, x2, y2, model_version) \
        from predictions.thing_objects order by shot_id, object
        """
      let wanted = [
        "1 1 a \"red\" apple 1.0 0 0 20 20 1", "1 2 leaf 0.5 5 5 15 10 1",
        "2 1 leaf 0.8 5 5 15 10 1",
      ]
      #expect(try Self.lines(sql, connection) == wanted)
      // An image without objects is scored, one that is none has failed.
      #expect(
        try Self.lines(
          """
          select concat_ws(' ', shot_id, cardinality(scores), boxes::text) from predictions.thing
          where shot_id = 3
          """, connection) == ["3 0 {}"])
      #expect(
        try Self.lines("select shot_id || ' ' || code from predictions.thing_failure", connection)
          == ["4 bad_image"])

      // Scored again, changed and removed as any prediction.
      try connection.runScript(
        """
        update shot set picture = (select picture from shot where shot_id = 2) where shot_id = 1;
        delete from shot where shot_id = 2
        """)
      try connection.run("select rowcast.rescore('thing')")
      try scene.settle(connection)
      #expect(try Self.lines(sql, connection) == ["1 1 leaf 0.8 5 5 15 10 1"])

      // The same by a job, and asked for one image.
      let picture = ColourModel.picture((255, 128, 0))
      let answer = try connection.run(
        """
        call rowcast.score('finder', jsonb_build_object('picture', encode(\(picture), 'base64')))
        """
      ).value(0, 0, as: String.self)
      #expect(answer.contains(#""labels": ["a \"red\" apple", "leaf"]"#))
      try connection.run("select rowcast.drop_scorer('thing')")
      #expect(
        try Self.lines(
          "select (to_regclass('predictions.thing_objects') is null)::text", connection)
          == ["true"])
    }
  }

  @Test func aNameThatIsTakenIsSaid() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      _ = try Self.push("finder", Self.detector, Self.objects, connection)
      try Self.makeShots(connection)
      try connection.runScript("create table predictions.thing_objects (id int)")
      let error = #expect(throws: PostgresError.self) {
        try connection.run(
          "select * from rowcast.create_scorer('thing', 'public.shot', model => 'finder')")
      }
      #expect(error?.sqlState == "RC304")
      #expect(error?.message == "predictions.thing_objects exists already")
    }
  }

  @Test(arguments: ["create", "replace", "upsert", "segments"])
  func jobsWriteVectors(mode: String) async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      _ = try Self.push("means", Self.means, #"{"image": {"preset": "raw"}}"#, connection)
      _ = try Self.push("finder", Self.detector, Self.objects, connection)
      try Self.makeShots(connection)
      for (model, columns) in [
        ("means", "shot_id bigint, embedding real[]"),
        ("finder", "shot_id bigint, boxes real[], scores real[], labels text[]"),
      ] {
        if mode == "replace" || mode == "upsert" {
          try connection.runScript(
            """
            create table \(model)_job (\(columns), primary key (shot_id));
            insert into \(model)_job (shot_id) values (1)
            """)
        }
        let job = try scene.submit(
          """
          select rowcast.submit_job(source => 'public.shot', model => \(model), \
          destination => \("\(model)_job"), key => '{shot_id}', mode => \(mode))
          """, connection)
        let end = try scene.end(of: job, connection)
        #expect(end.state == "done", "\(end.error ?? "")")
      }
      // JPEG gives a colour back within a level or two.
      #expect(
        try Self.lines(
          """
          select concat_ws(' ', count(distinct shot_id), count(*), bool_and(abs(v.found - v.wanted) <= 3))
          from means_job
          join (values (1, '{255,128,0}'::real[]), (2, '{10,200,0}'), (3, '{0,0,255}')) as w (id, colour)
            on w.id = shot_id
          cross join unnest(embedding, w.colour) as v (found, wanted)
          """, connection) == ["3 9 t"])
      #expect(
        try Self.lines(
          "select pg_typeof(embedding)::text from means_job where shot_id = 1", connection)
          == ["real[]"])
      #expect(
        try Self.lines(
          """
          select concat_ws(' ', shot_id, labels::text, boxes::text, pg_typeof(boxes)) from finder_job
          order by shot_id
          """, connection) == [
            "1 {1,0} {{0,0,20,20},{5,5,15,10}} real[]", "2 {0} {{5,5,15,10}} real[]",
            "3 {} {} real[]",
          ])
      if mode == "segments" {
        #expect(
          try Self.lines(
            "select concat_ws(' ', labels::text) from finder_job_lookup(2)", connection) == ["{0}"])
      }
    }
  }

  @Test func vectorsGoIntoColumnsOfPgvector() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      guard
        try connection.run("select count(*) from pg_available_extensions where name = 'vector'")
          .value(0, 0, as: Int64.self) == 1
      else {
        print("skipped: this PostgreSQL has no extension \"vector\" (postgresql-15-pgvector)")
        return
      }
      _ = try Self.push("means", Self.means, #"{"image": {"preset": "raw"}}"#, connection)
      try Self.makeShots(connection)
      try connection.runScript(
        """
        create extension vector;
        create table shot_vector (shot_id bigint, embedding vector(3))
        """)
      let job = try scene.submit(
        """
        select rowcast.submit_job(source => 'public.shot', model => 'means', \
        destination => 'shot_vector', key => '{shot_id}', mode => 'append')
        """, connection)
      let end = try scene.end(of: job, connection)
      #expect(end.state == "done", "\(end.error ?? "")")
      try connection.run(
        "select * from rowcast.create_scorer('shot_mean', 'public.shot', model => 'means')")
      try scene.settle(connection)
      #expect(
        try Self.lines(
          """
          select string_agg(shot_id::text, ' ' order by embedding <-> '[0,220,0]'::vector)
          from shot_vector
          union all
          select string_agg(shot_id::text, ' ' order by embedding::vector(3) <-> '[0,220,0]'::vector)
          from predictions.shot_mean
          """, connection) == ["2 1 3", "2 1 3"])
      try connection.runScript(
        """
        create index on predictions.shot_mean using hnsw ((embedding::vector(3)) vector_l2_ops)
        """)
    }
  }

  @Test func goldenRowsMayHoldVectors() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let setup = #"{"image": {"preset": "raw"}}"#
      let picture = ColourModel.picture((0, 0, 0))
      let hex =
        "\\x" + picture.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
      let good = try Self.push(
        "means", Self.means, setup, golden: "picture,embedding\n\(hex),\"{0,0.00001,-0}\"\n",
        connection)
      #expect(good.goldenRowCount == 1)
      _ = try Self.push(
        "means", Self.means, setup, golden: "picture,embedding\n\(hex),\"[0, 0, 0]\"\n", connection)
      // As the registry keeps them, a worker compares them too.
      try connection.run(
        """
        select rowcast.register_model('others', \(Self.means), setup => \(JSON(setup)), golden =>
          jsonb_build_array(jsonb_build_object('inputs', jsonb_build_object('picture', \(hex)::text),
                                               'outputs', '{"embedding": [0, 0, 7]}'::jsonb)))
        """)
      let refusal = #expect(throws: PostgresError.self) {
        try connection.run("call rowcast.wait_for_model('others')")
      }
      #expect(
        refusal?.detail?.contains("output \"embedding\" is {0.0,0.0,0.0}, the trainer had {0,0,7}")
          == true)
      for (golden, message) in [
        (
          "{0,0,1}",
          "golden row 1 of model \"means\": output \"embedding\" is {0.0,0.0,0.0}, the trainer had {0,0,1}"
        ),
        (
          "{0,0}",
          "golden row 1 of model \"means\": output \"embedding\" is {0.0,0.0,0.0}, the trainer had {0,0}"
        ),
        ("0", "line 2: column \"embedding\" is no array"),
      ] {
        do {
          _ = try Self.push(
            "means", Self.means, setup, golden: "picture,embedding\n\(hex),\"\(golden)\"\n",
            connection)
          Issue.record("\(golden) was taken")
        } catch let error as WorkError {
          #expect(error.message == message)
        }
      }
    }
  }

  @Test func aModelForAGPUWaitsForAWorkerThatHasOne() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let pushed = try Self.push(
        "means", Self.means, #"{"image": {"preset": "raw"}}"#, device: .gpu, connection)
      #expect(pushed.lacksDevice)
      try Self.makeShots(connection)
      try connection.run(
        "select * from rowcast.create_scorer('shot_mean', 'public.shot', model => 'means')")
      // Others are scored meanwhile, live changes among them.
      try scene.push("sum", LiveScoringTests.bytes)
      try connection.runScript(
        """
        create table item (id bigint primary key, a real, b double precision, c integer, note text);
        select * from rowcast.create_scorer('item_sum', 'public.item', model => 'sum');
        insert into item values (1, 1, 1, 1);
        insert into shot select 9, picture from shot where shot_id = 1
        """)
      try connection.run("call rowcast.wait('item_sum')")
      #expect(
        try Self.lines(
          """
          select concat_ws(' ', name, state, state_reason, backlog_rows > 0) from rowcast.scorer_status
          order by name
          """, connection) == [
            "item_sum active f", "shot_mean active waits: no worker has a GPU t",
          ])
      #expect(
        try Self.lines(
          "select concat_ws(' | ', device, runs_on) from rowcast.models order by model", connection)
          == ["gpu | nowhere: no worker has a GPU", "cpu | cpu"])
      #expect(
        try Self.lines("select distinct devices::text from rowcast.workers", connection)
          == ["{cpu}"])
      let job = try scene.submit(
        """
        select rowcast.submit_job(source => 'public.shot', model => 'means', \
        destination => 'shot_job', key => '{shot_id}')
        """, connection)
      #expect(
        try Self.lines(
          "select error from rowcast.job_progress where job_id = \(job)", connection)
          == ["waits: no worker has a GPU"])

      // One that has a GPU gets what waited.
      let worker = try connection.run(
        "select rowcast.register_worker('other', 'host', 1, '0', 1)"
      ).value(0, 0, as: Int32.self)
      try connection.run("select rowcast.offer_devices(\(worker), '{cpu,gpu}')")
      let lane = try connection.run("select rowcast.register_lane(\(worker))")
        .value(0, 0, as: Int32.self)
      #expect(
        try connection.run("select count(*) from rowcast.claim_chunks(\(lane), 100)")
          .value(0, 0, as: Int64.self) > 0)
      #expect(
        try Self.lines(
          """
          select concat_ws(' ', s.state_reason, m.runs_on) from rowcast.scorer_status as s
          join rowcast.models as m using (model) where s.name = 'shot_mean'
          """, connection) == ["gpu"])
      try connection.run("select rowcast.unregister_worker(\(worker))")
      try connection.run("select pg_advisory_unlock_all()")

      // With auto the CPU does it, and says so.
      try connection.run("select rowcast.set_device('means', 'auto')")
      _ = try scene.end(of: job, connection)
      try scene.settle(connection)
      #expect(
        try Self.lines("select count(*)::text from predictions.shot_mean", connection) == ["4"])
      #expect(
        try Self.lines("select runs_on from rowcast.models where model = 'means'", connection)
          == ["cpu: no worker has a GPU"])
      _ = try scene.waitForEvent { event in
        event == .deviceMissing(model: "means", version: 1) ? true : nil
      }
    }
  }

  @Test func devicesThatMakeNoSenseAreRefused() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try scene.push("sum", LiveScoringTests.bytes)
      for (device, message) in [
        ("tpu", "device \"tpu\" is not known"),
        ("gpu", "model \"sum\" 1 is of lightgbm, and device gpu runs networks alone"),
      ] {
        let error = #expect(throws: PostgresError.self) {
          try connection.run("select rowcast.set_device('sum', \(device))")
        }
        #expect(error?.sqlState == "RC303")
        #expect(error?.message == message)
      }
      let error = #expect(throws: PostgresError.self) {
        try connection.run("select rowcast.set_device('none', 'cpu')")
      }
      #expect(error?.sqlState == "RC101")
      do throws(WorkError) {
        _ = try Registry(connection).push(
          .init(name: "other", bytes: LiveScoringTests.bytes, device: .gpu))
        Issue.record("a forest was taken for a GPU")
      } catch {
        #expect(
          error.message
            == "device gpu runs networks of tensors, images and texts; this model is none")
      }
    }
  }
}

import Inference
import ModelFixtures
import Postgres
import Scoring
import TestSupport
import Testing

/// A column of pictures in, categories out.
@Suite(.database, .timeLimit(.minutes(3)))
struct ImageScoringTests {
  static func prepare(_ scene: Scene, _ connection: Connection) throws {
    _ = try Registry(connection).push(
      .init(
        name: "colours", bytes: ColourModel.bytes, alias: "champion", labels: ColourModel.labels,
        setup: ModelSetup.read(json: ColourModel.setup)))
    try connection.runScript(
      "create table shot (shot_id bigint primary key, picture bytea, note text)")
    try connection.run(
      "select * from rowcast.create_scorer('shot_colour', 'public.shot', model => 'colours', top_k => 2)"
    )
  }

  private static func add(_ id: Int64, _ bytes: [UInt8]?, _ connection: Connection) throws {
    try connection.run(
      Query(text: "insert into shot (shot_id, picture) values ($1, $2)", values: [id, bytes]))
  }

  @Test func picturesGetCategoriesAndBadOnesReasons() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      let red = ColourModel.picture((250, 10, 20))
      try Self.add(1, red, connection)
      try Self.add(2, ColourModel.picture((10, 240, 30)), connection)
      try Self.add(3, Array(red.prefix(red.count / 2)), connection)
      var corrupt = red
      for index in (corrupt.count - 40)..<(corrupt.count - 10) { corrupt[index] = 0xff }
      try Self.add(4, corrupt, connection)
      // A header that claims 20,000 x 20,000 pixels.
      try connection.run(
        """
        insert into shot (shot_id, picture) values (5, decode('89504e470d0a1a0a0000000d49484452\
        00004e2000004e20080200000000000000000000084944415400', 'hex'))
        """)
      try Self.add(6, nil, connection)
      try Self.add(7, [], connection)
      try Self.add(8, ColourModel.picture((5, 20, 255), side: 333), connection)
      try scene.settle(connection)
      let rows = try connection.run(
        "select shot_id, label, top_1, top_2 from predictions.shot_colour order by shot_id")
      let found = try (0..<rows.count).map { row in
        "\(try rows.value(row, 0, as: Int64.self)) \(try rows.value(row, 1, as: String.self)) "
          + "\(try rows.value(row, 2, as: String.self))"
      }
      #expect(found == ["1 red red", "2 green green", "8 blue blue"])
      let failed = try connection.run(
        "select shot_id, code, reason from predictions.shot_colour_failure order by shot_id")
      let reasons = try (0..<failed.count).map { row in
        "\(try failed.value(row, 0, as: Int64.self)) \(try failed.value(row, 1, as: String.self)): "
          + "\(try failed.value(row, 2, as: String.self))"
      }
      #expect(reasons.count == 5)
      #expect(reasons.first == "3 bad_image: feature \"picture\": JPEG ends early")
      #expect(reasons[1].hasPrefix("4 bad_image: feature \"picture\": JPEG "))
      #expect(
        reasons[2]
          == "5 bad_image: feature \"picture\": image has 20000 x 20000 pixels, the limit is 64000000"
      )
      #expect(reasons[3].hasPrefix("6 missing: "))
      #expect(reasons[4] == "7 bad_image: feature \"picture\": image has no bytes")

      // A picture that is mended leaves the failures.
      try connection.run("update shot set picture = \(red) where shot_id in (3, 6)")
      try scene.settle(connection)
      #expect(
        try connection.run(
          """
          select (select count(*) from predictions.shot_colour where label = 'red'),
                 (select count(*) from predictions.shot_colour_failure)
          """
        ).value(0, 0, as: Int64.self) == 3)
    }
  }

  @Test func theRegistryKeepsHowImagesAreMade() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      let bytes = ColourModel.bytes
      func register(_ setup: String) throws -> Int32 {
        try connection.run(
          """
          select rowcast.register_model('colours', \(bytes), 'champion', \
          labels => \(ColourModel.labels), setup => \(JSON(setup)))
          """
        ).value(0, 0, as: Int32.self)
      }
      #expect(try register(ColourModel.setup) == 1)
      #expect(try register(#"{"softmax": true, "image": {"preset": "torchvision"}}"#) == 2)
      // The order of members is nothing.
      #expect(try register(#"{"softmax": true, "image": {"preset": "plain"}}"#) == 1)
      try connection.run("call rowcast.wait_for_model('colours', 1)")
      try connection.run("call rowcast.wait_for_model('colours', 2)")
      let image = try connection.run(
        """
        select name || ' ' || type || ' ' || (image ->> 'resize') from rowcast.signatures \
        where model = 'colours' and version = 2 and part = 'feature'
        """
      ).value(0, 0, as: String.self)
      #expect(image == "picture bytes 5")

      #expect(try register(#"{"image": {"width": 5}}"#) == 3)
      let refusal = #expect(throws: PostgresError.self) {
        try connection.run("call rowcast.wait_for_model('colours', 3)")
      }
      #expect(refusal?.sqlState == "RC102")
      #expect(refusal?.detail == "image: width 5 is given, input \"picture\" has 4")
      let shape = #expect(throws: PostgresError.self) { _ = try register("[]") }
      #expect(shape?.sqlState == "RC106")

      try connection.runScript("create table named (id bigint primary key, picture text)")
      let mismatch = #expect(throws: PostgresError.self) {
        try connection.run(
          "select * from rowcast.create_scorer('named_colour', 'public.named', model => 'colours', version => 1, top_k => 1)"
        )
      }
      #expect(
        mismatch?.message
          == "column \"picture\" is text, model \"colours\" 1 wants an image as bytea")
    }
  }

  @Test func aPictureCanBeAskedAbout() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      let green = ColourModel.picture((10, 240, 30))
      let answer = try connection.run(
        """
        call rowcast.score('colours', \
        jsonb_build_object('picture', encode(\(green), 'base64')))
        """
      ).value(0, 0, as: String.self)
      #expect(answer.contains("\"label\": \"green\""))
    }
  }

  @Test func jobsReadPicturesToo() async throws {
    let scene = try Scene()
    try await scene.withWorkers { connection, _ in
      try Self.prepare(scene, connection)
      let (red, blue) = (ColourModel.picture((250, 10, 20)), ColourModel.picture((5, 20, 255)))
      try connection.run(
        """
        insert into shot (shot_id, picture) \
        select i, case when i % 2 = 0 then \(red) else \(blue) end from generate_series(1, 100) as i
        """)
      try scene.settle(connection)
      try connection.run(
        """
        select rowcast.submit_job(source => 'public.shot', model => 'colours', \
        destination => 'shot_job', keep => '{shot_id}')
        """)
      try scene.settle(connection)
      #expect(
        try connection.run(
          """
          select count(*) from shot_job where label = case when shot_id % 2 = 0 then 'red' else 'blue' end
          """
        ).value(0, 0, as: Int64.self) == 100)
      #expect(
        try connection.run("select chunk_rows from rowcast.scorer where name = 'shot_colour'")
          .value(0, 0, as: Int32.self) <= 64)
    }
  }
}

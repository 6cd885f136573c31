import Foundation
import Postgres
import Scoring

/// The demo of pictures from the first line to the last: sets up, inserts, shows, checks.
struct DemoImagesShow: Sendable {
  let appliance: Appliance
  let gallery: DemoGallery
  let rate: Double
  let interruption: Interruption
  let keptIn: String?

  private static let queries = [
    """
    select d.digit_id, d.written, p.label, round(p.top_1_probability::numeric, 3) as probability,
           p.top_2, round(p.top_2_probability::numeric, 3) as second
    from digit as d join predictions.digit_category as p using (digit_id)
    where p.label <> d.written order by p.top_1_probability desc limit 5
    """,
    """
    select digit_id, rank, label, round(score::numeric, 4) as score
    from predictions.digit_category_classes order by digit_id, rank limit 6
    """,
    "select digit_id, code, reason from predictions.digit_category_failure order by digit_id",
  ]

  /// Returns whether each picture has a category or a reason, and nine of ten are right.
  func run() throws -> Bool {
    let connection = try Connection(
      appliance.database.setting("application_name", to: "rowcast demo"))
    var screen = DemoScreen()
    screen.line(
      "PostgreSQL \(appliance.server.majorVersion) is up after "
        + Format.length(seconds: ProcessClock.secondsSinceStart()))
    try setUp(connection)
    screen.line("a network registered, one scorer that names the three likeliest digits")
    screen.line("  psql \"\(appliance.connectionKeywords)\"")
    screen.line()
    try insert(connection, &screen)
    return try conclude(connection, &screen)
  }

  private func setUp(_ connection: Connection) throws {
    let isNew = try connection.run("select to_regclass('public.digit') is null")
      .value(0, 0, as: Bool.self)
    if isNew {
      // A compressed picture only takes longer to read when PostgreSQL compresses it once more.
      try connection.runScript(
        """
        create table public.digit (
            digit_id bigint generated always as identity primary key,
            written text not null,
            image bytea not null
        );
        alter table public.digit alter column image set storage external;
        comment on table public.digit is 'Pictures of digits, and what was written.';
        """)
    }
    try connection.run(
      """
      select rowcast.register_model(name => 'digits', artifact => \(gallery.model), \
      alias => 'champion', labels => \(gallery.labels), \
      setup => '{"image": {"preset": "plain"}, "softmax": true}')
      """)
    try connection.run("call rowcast.wait_for_model('digits')")
    if isNew {
      try connection.run(
        """
        select count(*) from rowcast.create_scorer(
          name => 'digit_category', source => 'public.digit', model => 'digits', top_k => 3)
        """)
    }
  }

  private func insert(_ connection: Connection, _ screen: inout DemoScreen) throws {
    var next = ContinuousClock.now
    for (index, picture) in gallery.pictures.enumerated() where !interruption.isSet {
      let number = try insert(picture.label, picture.digits, connection)
      if index % 25 == 0 {
        try connection.run("call rowcast.wait('digit_category')")
        let row = try connection.run(
          """
          select label, top_1_probability from predictions.digit_category where digit_id = \(number)
          """)
        let label = row.count == 1 ? try row.value(0, 0, as: String.self) : "no category"
        let share = row.count == 1 ? try row.value(0, 1, as: Float.self) : 0
        screen.line(
          "  picture \(number): \(label) \(Format.decimal(Double(share), places: 3))"
            + (label == picture.label ? "" : ", written was \(picture.label)"))
      }
      next += .seconds(1 / rate)
      let pause = next - .now
      if pause > .zero { _ = interruption.wakeUp.wait(timeout: pause) }
    }
    guard let first = gallery.pictures.first else { return }
    _ = try insert("cut short", first.digits.prefix(first.digits.count / 4 * 2), connection)
    _ = try insert("a bomb", Substring(Self.bomb), connection)
  }

  private func insert(_ label: String, _ digits: Substring, _ connection: Connection) throws
    -> Int64
  {
    try connection.run(
      """
      insert into public.digit (written, image) values (\(label), decode(\(String(digits)), 'hex')) \
      returning digit_id
      """
    ).value(0, 0, as: Int64.self)
  }

  /// The first bytes of a PNG of 20,000 x 20,000 pixels.
  private static let bomb =
    "89504e470d0a1a0a0000000d4948445200004e2000004e20080200000000000000000000084944415400"

  private func conclude(_ connection: Connection, _ screen: inout DemoScreen) throws -> Bool {
    try connection.run("call rowcast.wait('digit_category')")
    let counts = try connection.run(
      """
      select count(*), count(p.digit_id), count(*) filter (where p.label = d.written),
             count(f.digit_id), count(*) filter (where p.digit_id is null and f.digit_id is null)
      from public.digit as d
      left join predictions.digit_category as p using (digit_id)
      left join predictions.digit_category_failure as f using (digit_id)
      """)
    let (rows, named) = (
      try counts.value(0, 0, as: Int64.self), try counts.value(0, 1, as: Int64.self)
    )
    let (right, failed) = (
      try counts.value(0, 2, as: Int64.self), try counts.value(0, 3, as: Int64.self)
    )
    let missing = try counts.value(0, 4, as: Int64.self)
    screen.heading("What came of them")
    screen.line("  pictures              \(Format.count(rows))")
    screen.line(
      "  with a category       \(Format.count(named)), \(Format.count(right)) of them right")
    screen.line("  failures              \(Format.count(failed))")
    screen.heading("SQL to try, and what it says now")
    for query in Self.queries {
      screen.line()
      for line in query.split(separator: "\n") { screen.line("  " + line) }
      screen.line()
      let table = try Listing.table(query, on: connection)
      for line in table.split(separator: "\n") { screen.line("    " + line) }
    }
    screen.line()
    if let keptIn {
      screen.line("The database stays. Look again with \"rowcast up --data-dir \(keptIn)\".")
    }
    let isComplete = missing == 0 && named + failed == rows && failed >= 2
    screen.line(
      isComplete
        ? "Each picture has a category, or a reason why not."
        : "NOT each picture has a category or a reason.")
    return isComplete && right * 10 >= named * 9
  }
}

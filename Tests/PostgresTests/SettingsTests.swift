import Postgres
import TestRandom
import Testing

@Suite struct SettingsTests {
  @Test(arguments: [
    "postgresql://me:s3cret@db.example:5433/app?sslmode=require",
    "host=db.example port=5433 user=me password='s3cret' dbname=app sslmode=require",
  ])
  func uriAndKeywordsMeanTheSame(_ conninfo: String) throws {
    let settings = try ConnectionSettings(conninfo)
    #expect(settings["host"] == "db.example" && settings["port"] == "5433")
    #expect(settings["dbname"] == "app" && settings["sslmode"] == "require")
    #expect(settings["password"] == "s3cret")
    var dumped = ""
    dump(settings, to: &dumped)
    for text in [settings.description, "\(settings)", String(reflecting: settings), dumped] {
      #expect(!text.contains("s3cret") && text.contains("db.example"))
    }
    // What is shown can be read again.
    #expect(try ConnectionSettings(settings.description)["user"] == "me")
  }

  @Test func valuesThatNeedItAreQuoted() throws {
    let settings = try ConnectionSettings().setting("dbname", to: "it's a \\ name")
    #expect(try ConnectionSettings(settings.description)["dbname"] == "it's a \\ name")
  }

  @Test(arguments: [
    "host", "nonsense=1", "postgresql://[::1", "password='s3cret", "password=my s3cret",
    "postgresql://me:s3cret@[::1/app", "postgresql://me:s3cret%zz@db/app",
  ])
  func anUnreadableStringIsRefused(_ conninfo: String) {
    let error = #expect(throws: PostgresError.self) { try ConnectionSettings(conninfo) }
    #expect(error?.sqlState == "22023")
    #expect(error?.description.contains("s3cret") == false)
    #expect(error?.detail?.contains("s3cret") == false)
  }

  @Test func delaysGrowBetweenTheirBounds() {
    let backoff = Backoff(shortest: .milliseconds(50), longest: .seconds(5))
    var random = SplitMix64(seed: 42)
    for failures in 0..<64 {
      let full = min(.milliseconds(50) * (1 << min(failures, 20)), .seconds(5))
      var seen: Set<Duration> = []
      for _ in 0..<100 {
        let delay = backoff.delay(after: failures, using: &random)
        #expect(delay >= full / 2 && delay <= full)
        seen.insert(delay)
      }
      #expect(seen.count > 90)
    }
  }
}

import ModelFixtures
import Postgres
import TestSupport
import Testing

/// The entries of an FAQ in `help.entry`, and the service `help` that ranks them for a question.
enum FaqScene {
  static func prepare(_ faq: FaqFixture) throws {
    try ServerScene.push(faq.model, as: "faq")
    let connection = try Database.current.connect()
    defer { connection.close() }
    try connection.runScript(
      "create schema help; create table help.entry (entry_id int primary key, entry text not null)")
    try connection.run(
      "insert into help.entry select * from unnest(\(faq.entries.ids), \(faq.entries.texts))")
    let count = try connection.run(
      """
      select rowcast.create_service('help', 'faq', \
      'select entry_id as question_id, entry_id * 10 as answer_id, entry from help.entry order by 1')
      """
    ).value(0, 0, as: Int32.self)
    #expect(Int(count) == faq.entries.ids.count)
  }

  /// A scorer of questions beside the service: who writes one into `help.question` finds its answers in
  /// `predictions.answer`.
  static func watchQuestions() throws {
    let connection = try Database.current.connect()
    defer { connection.close() }
    try connection.runScript(
      "create table help.question (question_id int primary key, question text not null)")
    try connection.run(
      """
      select count(*) from rowcast.create_scorer('answer', source => 'help.question', model => 'faq', \
      feature_query => 'select question_id, entry_id, question, entry \
      from help.question cross join help.entry', result_key => array['entry_id'])
      """)
  }
}

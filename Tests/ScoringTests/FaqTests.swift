import ModelFixtures
import Postgres
import Scoring
import TestSupport
import Testing

/// Questions against all entries of an FAQ, by a pipeline of TF-IDF and boosted trees: the same
/// probabilities, and so the same ranks, as in Python.
///
/// The small set is committed. The other one is trained on data that is not:
/// `Tests/Training/make_faq_model.py ../shared/data/faq_matching_substitute/stackExchange-FAQ.json .data/faq`.
@Suite(.database, .timeLimit(.minutes(10)))
struct FaqTests {
  @Test func madeUpQuestionsFindTheirEntries() async throws {
    try await ask(FaqFixture.madeUp())
  }

  @Test(.enabled(if: FaqFixture.isTrained, Comment(rawValue: FaqFixture.missing)))
  func heldOutParaphrasesFindTheirThreads() async throws {
    try await ask(FaqFixture.trained())
  }

  private func ask(_ faq: FaqFixture) async throws {
    let scene = try Scene()
    try await scene.withWorkers(lanes: 4) { connection, _ in
      try scene.push("faq", faq.model)
      try faq.prepare(connection)
      try connection.run("call rowcast.wait('answer', '5 minutes')")
      try faq.expectPython(connection)

      // A question that is asked now has its matches by rank; the same words get the same ranks.
      try connection.run(
        "insert into question select 100000, question from question where question_id = 0")
      try connection.run("call rowcast.wait('answer')")
      let ranked = """
        select array_agg(entry_id order by probability_1 desc, entry_id)::text from predictions.answer \
        where question_id =
        """
      let new: String = try connection.run(Query(text: ranked + " 100000")).value(0, 0)
      let first: String = try connection.run(Query(text: ranked + " 0")).value(0, 0)
      #expect(new == first)

      // Every question is asked again when an entry changes, and the sets follow.
      try connection.run("delete from question where question_id = 100000")
      try connection.run("insert into entry values (100000, 'nothing that anybody asked')")
      try connection.run("call rowcast.wait('answer', '5 minutes')")
      let more = try connection.run(
        "select count(*) from predictions.answer where entry_id = 100000"
      ).value(0, 0, as: Int64.self)
      #expect(more == faq.questions.ids.count)
      try connection.run("delete from entry where entry_id = 100000")
      try connection.run("call rowcast.wait('answer', '5 minutes')")
      try faq.expectPython(connection)
    }
  }
}

extension FaqFixture {
  fileprivate func prepare(_ connection: Connection) throws {
    try connection.runScript(
      """
      create table entry (entry_id int primary key, entry text not null);
      create table question (question_id int primary key, question text not null);
      create table truth (question_id int primary key, entry_id int not null);
      create table expected (question_id int, entry_id int, probability real);
      """)
    try connection.run(
      "insert into entry select * from unnest(\(entries.ids), \(entries.texts))")
    try connection.run(
      "insert into truth select * from unnest(\(questions.ids), \(questions.rightEntries))")
    try connection.run(
      """
      insert into expected select * from unnest(\(expected.questions), \(expected.entries), \
      \(expected.probabilities))
      """)
    try connection.run(
      """
      select rowcast.create_scorer('answer', source => 'question', model => 'faq', feature_query =>
        'select question_id, entry_id, question, entry from question cross join entry',
        result_key => array['entry_id'])
      """)
    try connection.run(
      "select rowcast.also_watch('answer', 'entry', mapping => 'select question_id from question')")
    try connection.run(
      """
      insert into question select * from unnest(\(questions.ids), \(questions.texts))
      """)
  }

  /// The same probabilities within single precision; exactly the same ranks, as metrics in SQL.
  fileprivate func expectPython(_ connection: Connection) throws {
    let compared = try connection.run(
      """
      select count(*) filter (where p.question_id is null or e.question_id is null) as unpaired,
             count(*) as pairs, max(abs(p.probability_1 - e.probability)) as farthest
      from predictions.answer as p full join expected as e using (question_id, entry_id)
      """)
    #expect(try compared.value(0, "unpaired", as: Int64.self) == 0)
    let pairs = questions.ids.count * entries.ids.count
    #expect(try compared.value(0, "pairs", as: Int64.self) == pairs)
    let farthest = try compared.value(0, "farthest", as: Float.self)
    #expect(farthest < 1e-5)
    let found = try connection.run(
      """
      select avg((place <= 1)::int)::float8 as top_1, avg((place <= 2)::int)::float8 as top_2,
             avg((place <= 3)::int)::float8 as top_3, avg(place)::float8 as mean_rank
      from (
        select t.question_id, count(*) filter (where o.probability_1 >= p.probability_1) as place
        from truth as t
        join predictions.answer as p using (question_id, entry_id)
        join predictions.answer as o on o.question_id = t.question_id
        group by t.question_id
      ) as t
      """)
    for (name, wanted) in [
      ("top_1", metrics.top_1), ("top_2", metrics.top_2), ("top_3", metrics.top_3),
      ("mean_rank", metrics.mean_rank),
    ] {
      let value = try found.value(0, name, as: Double.self)
      #expect(abs(value - wanted) < 1e-12, "\(name) is \(value), in Python \(wanted)")
    }
    print(
      "\(questions.ids.count) questions x \(entries.ids.count) entries: top-1 \(metrics.top_1), top-2 "
        + "\(metrics.top_2), top-3 \(metrics.top_3), mean rank \(metrics.mean_rank); probabilities "
        + "within \(farthest)")
  }
}

import Postgres
import Schema
import TestSupport

/// An analyst who owns tables, types and functions, and a lane in SQL that works on them.
enum OwnerScene {
  /// A superuser's session, and that of an analyst with a schema `own`, who can do nothing else.
  static func make() throws -> (admin: Connection, owner: Connection) {
    let admin = try Database.current.connect()
    try admin.runScript(Self.laneSQL)
    let role = "owner_of_\(Database.current.name)"
    try admin.run("create role \(identifier: role) login in role rowcast_analyst")
    try admin.run("create schema own authorization \(identifier: role)")
    let owner = try Connection(Database.current.settings.setting("user", to: role))
    try owner.runScript(
      """
      grant usage on schema own to public;
      create table own.noted (who text, what text);
      grant insert, select on own.noted to public;
      create function own.note(what text) returns boolean language plpgsql as $$
      begin
        insert into own.noted values (current_user, what);
        return true;
      end $$;
      """)
    return (admin, owner)
  }

  /// A model that doubles `x`, and a lane in SQL for keys of one column.
  private static let laneSQL = """
    select rowcast.register_model('double', 'tree'::bytea, 'champion');
    select rowcast.record_inspection(1, 1, '{
      "features": [{"name": "x", "type": "float32", "missing": "refused"}],
      "outputs": [{"name": "score", "type": "float32", "role": "score"}]}', null);
    create schema scene;
    grant usage on schema scene to public;
    create function scene.work(wanted text default null) returns int
    language plpgsql security definer as $work$
    declare
      lane int := rowcast.register_lane(rowcast.register_worker('test', 'here', 1, 'test', 1));
      chunk record;
      plan record;
      written int := 0;
      before int;
    begin
      perform from rowcast.tick('{}', 1);
      loop
        before := written;
        perform rowcast.make_job_chunks(8, 1);
        for chunk in select c.* from rowcast.claim_chunks(lane, 100) as c loop
          select * into strict plan from rowcast.load_scorer(chunk.scorer_id);
          continue when plan.name <> wanted;
          execute format(
            'select rowcast.write_%s($1, $2, coalesce(array_agg(r.k), ''{}''), '
            'coalesce(array_agg((2 * r.x)::real), ''{}''), array[''double''], array[1], ''{}'', ''{}'', '
            '''{}'', ''{}'', ''{}'', count(*)::int) from (%s) as r (k, x)', chunk.scorer_id,
            case chunk.kind when 'range' then replace(replace(plan.read_range_sql, '$1',
                quote_literal(chunk.lower_key)), '$2', quote_literal(chunk.upper_key))
              else replace(plan.read_keys_sql, '$1', quote_literal(coalesce(chunk.keys, '{}'))) end)
          using chunk.chunk_id, chunk.attempt;
          written := written + 1;
        end loop;
        exit when written = before;
      end loop;
      -- Not a lane any more: what it runs from now on is its own.
      perform rowcast.release_chunks(lane);
      return written;
    end
    $work$;
    """
}

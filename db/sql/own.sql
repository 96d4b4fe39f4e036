-- The gateway's own schema, also on a database that it did not make: the record of changes can be added to and read.

CREATE OR REPLACE FUNCTION gateway.refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'gateway.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Record a correction as a new event.';
END
$$;

COMMENT ON FUNCTION gateway.refuse_rewriting() IS 'Refuses the statement: what was recorded stays as it is.';

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.lifecycle_events
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_rewriting();

-- Also where triggers are switched off for the session, as replication and restoring do.
ALTER TABLE gateway.lifecycle_events ENABLE ALWAYS TRIGGER append_only;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.recordings
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_rewriting();

ALTER TABLE gateway.recordings ENABLE ALWAYS TRIGGER append_only;

-- ---------------------------------------------------------------------------------------------------------------------
-- What subscriptions are told
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION gateway.timeline() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;  -- a service that does not tell; no change fails of that
END
$$;

COMMENT ON FUNCTION gateway.timeline() IS
    'Timeline that this server writes, another one after each failover; null where the server does not say it.';

-- With the rights of the tables' owner, so that everybody is told the same.
CREATE OR REPLACE FUNCTION gateway.history() RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system())
        -- nothing, until a log that was restored from a dump is another table than the one that is known of
        + coalesce((SELECT to_regclass('gateway.live_log')::oid::bigint - live_log FROM gateway.origin), 0)
        || '/' || gateway.timeline();
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.history() IS
    'What numbers of transactions mean something in: the cluster''s identifier, another one once the live log was restored '
    'from a dump, a slash and the timeline, or null.';

CREATE OR REPLACE FUNCTION gateway.standing() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    RETURN gateway.history() || '/' || (pg_current_wal_flush_lsn() - '0/0')::bigint;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.standing() IS
    'Where a primary is: its history, a slash and the bytes of its log that are on disk; null where it does not say.';

-- With the rights of the tables' owner: a mark is random, and who may write one of their own choice could forge another's.
CREATE OR REPLACE FUNCTION gateway.mark_timeline() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    history CONSTANT text := gateway.history();
BEGIN
    INSERT INTO gateway.timelines (cluster, timeline)
    SELECT split_part(history, '/', 1), split_part(history, '/', 2)::integer WHERE history IS NOT NULL
    ON CONFLICT (cluster, timeline) DO NOTHING;
END
$$;

COMMENT ON FUNCTION gateway.mark_timeline() IS 'Marks the timeline that this server writes, if it has no mark yet.';

CREATE OR REPLACE FUNCTION gateway.marks(standing text, writes boolean) RETURNS text
LANGUAGE plpgsql STRICT
AS $$
DECLARE
    its_timeline integer;
    newest integer;
    told text;
BEGIN
    its_timeline := split_part(standing, '/', 2);
    FOR attempt IN 1..2 LOOP
        SELECT max(m.timeline), string_agg(m.timeline || '=' || m.mark, ',') INTO newest, told
        FROM (
            SELECT t.timeline, t.mark FROM gateway.timelines AS t
            WHERE t.cluster = split_part(standing, '/', 1) AND t.timeline <= its_timeline
            ORDER BY t.timeline DESC LIMIT 2
        ) AS m;
        EXIT WHEN newest = its_timeline OR NOT writes OR attempt = 2;
        PERFORM gateway.mark_timeline();
    END LOOP;
    RETURN 'gateway.timelines'::regclass::oid || ':' || coalesce(told, '');
EXCEPTION WHEN OTHERS THEN
    RETURN '';  -- no table, or one that cannot be written; no change fails of that
END
$$;

COMMENT ON FUNCTION gateway.marks(text, boolean) IS
    'The oid of gateway.timelines, a colon, and the marks of the two newest timelines up to that of a position of '
    'gateway.standing(); marks that of this server before, if it has no mark and that is asked for.';

-- With the rights of the tables' owner: whoever may record a change tells of it, and may write nothing else there.
CREATE OR REPLACE FUNCTION gateway.tell_of_event() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.live_log (topic, timeline, facts) VALUES (
        'lifecycle',
        gateway.timeline(),
        jsonb_build_object(
            'event', NEW.event_id, 'node', NEW.node_id, 'type', NEW.node_type, 'from', NEW.from_state, 'to', NEW.to_state
        )
    );
    PERFORM pg_notify('e2i_gateway_live', 'log');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.tell_of_event() IS 'Writes a recorded change into the live log and wakes whoever listens.';

CREATE OR REPLACE TRIGGER tell_of_event AFTER INSERT ON gateway.lifecycle_events
    FOR EACH ROW EXECUTE FUNCTION gateway.tell_of_event();

-- A batch is one entry and one message, however many rows it has.
CREATE OR REPLACE FUNCTION gateway.tell_of_recording() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    iso CONSTANT text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
BEGIN
    INSERT INTO gateway.live_log (topic, timeline, facts) VALUES (
        'recordings',
        gateway.timeline(),
        jsonb_build_object(
            'type', NEW.node_type, 'mutation', NEW.mutation, 'actor', NEW.actor, 'request', NEW.request_id,
            'inserted', NEW.inserted, 'updated', NEW.updated, 'kept', NEW.kept,
            'purged', coalesce((NEW.details ->> 'purged')::integer, 0),
            'first', to_char(NEW.first_at AT TIME ZONE 'UTC', iso), 'last', to_char(NEW.last_at AT TIME ZONE 'UTC', iso),
            'recorded', to_char(NEW.recorded_at AT TIME ZONE 'UTC', iso)
        )
    );
    PERFORM pg_notify('e2i_gateway_live', 'log');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.tell_of_recording() IS 'Writes a recorded batch into the live log and wakes whoever listens.';

CREATE OR REPLACE TRIGGER tell_of_recording AFTER INSERT ON gateway.recordings
    FOR EACH ROW EXECUTE FUNCTION gateway.tell_of_recording();

-- Earlier gateways' function; that of the platform's tables stands beside them, so that this schema is restored alone.
DROP FUNCTION IF EXISTS gateway.tell_of_alerts();

-- ---------------------------------------------------------------------------------------------------------------------
-- Rollups
-- ---------------------------------------------------------------------------------------------------------------------
-- With the rights of the tables' owner: whoever may write rows marks their units, and may write nothing else there.
-- Its triggers give the name of the rollup, the column of the time, the unit and the table of the sums.
CREATE OR REPLACE FUNCTION gateway.mark_rollup() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_rows CONSTANT text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT %1$I AS at FROM new_rows'
        WHEN 'DELETE' THEN 'SELECT %1$I AS at FROM old_rows'
        WHEN 'UPDATE' THEN 'SELECT %1$I AS at FROM old_rows UNION ALL SELECT %1$I FROM new_rows'
    END;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('INSERT INTO gateway.rollup_marks (name, at) SELECT DISTINCT $1, at FROM gateway.%I '
            'WHERE unit = $2', TG_ARGV[3]) USING TG_ARGV[0], TG_ARGV[2];
    ELSE
        EXECUTE format('INSERT INTO gateway.rollup_marks (name, at) '
            'SELECT DISTINCT $1, date_bin($2, at, ''1970-01-01Z'') FROM (' || of_rows || ') AS written '
            'WHERE at >= ''1970-01-01Z'' AND at < ''2200-01-01Z''', TG_ARGV[1]) USING TG_ARGV[0], TG_ARGV[2]::interval;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.mark_rollup() IS 'Marks the units of time of the rows that a statement writes.';

-- A statement that names a partition is not seen by its parent's triggers: each has its own.
CREATE OR REPLACE FUNCTION gateway.stores_of(rows_of regclass) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN bool_and(c.relkind = 'p' OR (c.relkind = 'r' AND NOT c.relhassubclass))
        THEN array_agg(c.oid::regclass::text ORDER BY c.oid::regclass::text) END
    FROM pg_class AS c
    WHERE c.oid IN (SELECT rows_of UNION SELECT relid FROM pg_partition_tree(rows_of))
$$;

COMMENT ON FUNCTION gateway.stores_of(regclass) IS
    'A table with all of its partitions; null where others inherit from one of them, or one is no table.';

CREATE OR REPLACE FUNCTION gateway.is_rolled_up(rows_of regclass) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT c.relispartition AND NOT row_security_active(c.oid) AND r.stores = gateway.stores_of(c.oid)
        AND (SELECT count(*) = 4 * cardinality(r.stores) FROM pg_trigger AS t
             WHERE t.tgrelid = ANY (r.stores::regclass[]) AND t.tgfoid = 'gateway.mark_rollup'::regproc
                 AND t.tgenabled = 'A')
    FROM pg_class AS c
    LEFT JOIN gateway.rollups AS r ON r.stores = gateway.stores_of(c.oid)
    WHERE c.oid = rows_of
$$;

COMMENT ON FUNCTION gateway.is_rolled_up(regclass) IS
    'Whether all that is written to a table is marked, and whoever asks may see all of its rows.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Current state
-- ---------------------------------------------------------------------------------------------------------------------
-- With the rights of the tables' owner, as mark_rollup. Its triggers give the name of the state, the column of the key,
-- and the tables of what is stored, each with its column of the key.
CREATE OR REPLACE FUNCTION gateway.mark_state() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_rows CONSTANT text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT %1$I AS key FROM new_rows'
        WHEN 'DELETE' THEN 'SELECT %1$I AS key FROM old_rows'
        WHEN 'UPDATE' THEN 'SELECT %1$I AS key FROM old_rows UNION ALL SELECT %1$I FROM new_rows'
    END;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        FOR place IN 2 .. TG_NARGS - 1 BY 2 LOOP
            EXECUTE format('INSERT INTO gateway.state_marks (name, key) SELECT DISTINCT $1, %I FROM gateway.%I',
                TG_ARGV[place + 1], TG_ARGV[place]) USING TG_ARGV[0];
        END LOOP;
    ELSE
        EXECUTE format('INSERT INTO gateway.state_marks (name, key) SELECT DISTINCT $1, key FROM (' || of_rows
            || ') AS written WHERE key IS NOT NULL', TG_ARGV[1]) USING TG_ARGV[0];
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION gateway.mark_state() IS 'Marks the rows whose current state a statement may have changed.';

-- In plpgsql, which keeps the plans of its statements: every list of stored rows asks.
CREATE OR REPLACE FUNCTION gateway.is_followed(state_of text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    followed gateway.current_states;
BEGIN
    SELECT * INTO followed FROM gateway.current_states AS s WHERE s.name = state_of;
    RETURN NOT EXISTS (
            SELECT FROM unnest(followed.sources) AS t (source) LEFT JOIN pg_class AS c ON c.oid = to_regclass(t.source)
            WHERE c.oid IS NULL OR c.relispartition OR row_security_active(c.oid)
        )
        -- of the partitions that there were, none has gone, and no other has come
        AND (
            SELECT count(*) FILTER (WHERE i.inhrelid::regclass::text = ANY (followed.stores))
                = cardinality(followed.stores) - cardinality(followed.sources)
                AND count(*) FILTER (WHERE i.inhrelid::regclass::text <> ALL (followed.stores)) = 0
            FROM pg_inherits AS i WHERE i.inhparent::regclass::text = ANY (followed.stores)
        )
        AND 4 * cardinality(followed.stores) = (
            SELECT count(*) FROM pg_trigger AS t
            WHERE t.tgfoid = 'gateway.mark_state'::regproc AND t.tgenabled = 'A'
                AND t.tgrelid::regclass::text = ANY (followed.stores)
        );
END
$$;

COMMENT ON FUNCTION gateway.is_followed(text) IS
    'Whether all that is written to the tables of a current state is marked, and whoever asks may see all of their rows.';

CREATE OR REPLACE FUNCTION gateway.is_kept(state_of text, by text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (
            SELECT FROM gateway.current_states AS s
            WHERE s.name = state_of AND s.state = 'ready' AND s.definition = by
        )
        AND gateway.is_followed(state_of);
END
$$;

COMMENT ON FUNCTION gateway.is_kept(text, text) IS
    'Whether the stored current state may be read, by whoever has these definitions of its views.';

-- The timeline of this server is marked before gateways meet it. When it began is unknown.
INSERT INTO gateway.timelines (cluster, timeline, marked_at)
SELECT split_part(history, '/', 1), split_part(history, '/', 2)::integer, 'epoch'
FROM gateway.history() AS history
WHERE history IS NOT NULL
ON CONFLICT (cluster, timeline) DO NOTHING;

-- The gateway's own schema, also on a database that it did not make: the record of changes can be added to and read.

CREATE OR REPLACE FUNCTION gateway.refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'gateway.lifecycle_events is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Record a correction as a new event.';
END
$$;

COMMENT ON FUNCTION gateway.refuse_rewriting() IS 'Refuses the statement: what was recorded stays as it is.';

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.lifecycle_events
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_rewriting();

-- Also where triggers are switched off for the session, as replication and restoring do.
ALTER TABLE gateway.lifecycle_events ENABLE ALWAYS TRIGGER append_only;

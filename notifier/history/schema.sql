-- The history's tables, a partition of each for a day (UTC), and what its role may do. May be run again: it changes nothing
-- that is there but the functions.
CREATE SCHEMA IF NOT EXISTS notifier;

-- Which shape the tables have: a release works with its own only.
CREATE TABLE IF NOT EXISTS notifier.shape (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL
);

CREATE TABLE IF NOT EXISTS notifier.deliveries (
    day date NOT NULL,              -- of queued, UTC
    id text NOT NULL,
    event text NOT NULL,            -- key of its event
    rule text NOT NULL,
    channel text NOT NULL,
    destination text NOT NULL,      -- masked, or the id of an endpoint or recipient
    person text NOT NULL,           -- the beginning of a hash of who got it; empty when that is nobody, or forgotten
    status text NOT NULL,
    reason text NOT NULL,
    tries integer NOT NULL,
    queued timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    template text NOT NULL,
    attempts jsonb NOT NULL,        -- as GET /v1/deliveries/{id} tells them
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE INDEX IF NOT EXISTS deliveries_event ON notifier.deliveries (event);
CREATE INDEX IF NOT EXISTS deliveries_person ON notifier.deliveries (person) WHERE person <> '';

CREATE TABLE IF NOT EXISTS notifier.events (
    day date NOT NULL,              -- of received, UTC
    key text NOT NULL,
    id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    tenant text NOT NULL,
    received timestamptz NOT NULL,
    status text NOT NULL,
    note text NOT NULL,
    reason text NOT NULL,
    parked text NOT NULL,
    PRIMARY KEY (day, key)
) PARTITION BY RANGE (day);

-- Makes the partitions of a day. They are attached, which unlike PARTITION OF locks nobody out who reads or writes.
CREATE OR REPLACE FUNCTION notifier.make_day(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    part text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['deliveries', 'events'] LOOP
        part := parent || '_' || to_char(wanted, 'YYYYMMDD');
        IF to_regclass('notifier.' || quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE TABLE notifier.%I (LIKE notifier.%I INCLUDING DEFAULTS)', part, parent);
            EXECUTE format('ALTER TABLE notifier.%I ATTACH PARTITION notifier.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, wanted, wanted + 1);
        END IF;
    END LOOP;
END $$;

-- Drops the partitions of days before the oldest that is kept; says how many.
CREATE OR REPLACE FUNCTION notifier.drop_days(oldest date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT child.relname AS name
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent IN ('notifier.deliveries'::regclass, 'notifier.events'::regclass)
        AND child.relname ~ '^(deliveries|events)_[0-9]{8}$'
        AND to_date(right(child.relname, 8), 'YYYYMMDD') < oldest
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE notifier.%I', part.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION notifier.make_day(date), notifier.drop_days(date) FROM PUBLIC;

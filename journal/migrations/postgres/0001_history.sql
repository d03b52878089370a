-- Times are microseconds since 1970, UTC; 0 is no time. Documents are the
-- JSON of the domain's types, kept to the byte (json, not jsonb).
CREATE TABLE upgrades (
  id          TEXT PRIMARY KEY,
  started_us  BIGINT NOT NULL,
  finished_us BIGINT NOT NULL,
  closed_us   BIGINT NOT NULL,
  document    JSON NOT NULL
);
CREATE INDEX upgrades_by_start ON upgrades (started_us, id);

CREATE TABLE verdicts (
  upgrade   TEXT NOT NULL,
  indicator TEXT NOT NULL,
  state     TEXT NOT NULL,
  document  JSON NOT NULL,
  PRIMARY KEY (upgrade, indicator)
);

CREATE TABLE events (
  id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  upgrade   TEXT NOT NULL,
  time_us   BIGINT NOT NULL,
  event     TEXT NOT NULL,
  indicator TEXT NOT NULL,
  document  JSON NOT NULL
);
CREATE UNIQUE INDEX events_once ON events (upgrade, time_us, event, indicator);
CREATE INDEX events_by_upgrade ON events (upgrade, id);

CREATE TABLE alerts (
  key       TEXT PRIMARY KEY,
  upgrade   TEXT NOT NULL,
  state     TEXT NOT NULL,
  starts_us BIGINT NOT NULL,
  revision  BIGINT NOT NULL,
  document  JSON NOT NULL
);
CREATE INDEX alerts_by_start ON alerts (starts_us, key);
CREATE INDEX alerts_by_upgrade ON alerts (upgrade, starts_us, key);
CREATE INDEX alerts_by_state ON alerts (state, starts_us, key);

-- The judge's saved state: one row.
CREATE TABLE judge (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  at_us BIGINT NOT NULL,
  state BYTEA NOT NULL
);

-- The flag definitions, every revision.
CREATE TABLE definitions (
  revision BIGINT PRIMARY KEY,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);

-- The audit: every state of every toggle is a row of its own, for good.
CREATE TABLE toggles (
  seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         TEXT NOT NULL,
  flag       TEXT NOT NULL,
  state      TEXT NOT NULL,
  at_us      BIGINT NOT NULL,
  updated_us BIGINT NOT NULL,
  document   JSON NOT NULL
);
CREATE UNIQUE INDEX toggles_once ON toggles (id, state, updated_us);
CREATE INDEX toggles_by_id ON toggles (id, seq);
CREATE INDEX toggles_by_flag ON toggles (flag, at_us);

CREATE FUNCTION toggles_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''the audit of toggles is append-only''; END';
CREATE TRIGGER toggles_no_change BEFORE UPDATE OR DELETE ON toggles
  FOR EACH ROW EXECUTE FUNCTION toggles_append_only();
CREATE TRIGGER toggles_no_truncate BEFORE TRUNCATE ON toggles
  FOR EACH STATEMENT EXECUTE FUNCTION toggles_append_only();

CREATE TABLE flips (
  id       TEXT PRIMARY KEY,
  flag     TEXT NOT NULL,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);
CREATE INDEX flips_by_time ON flips (at_us, id);

CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  at_us BIGINT NOT NULL
);

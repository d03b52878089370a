-- Times are microseconds since 1970, UTC; 0 is no time. Documents are the
-- JSON of the domain's types.
CREATE TABLE upgrades (
  id          TEXT PRIMARY KEY,
  started_us  INTEGER NOT NULL,
  finished_us INTEGER NOT NULL,
  closed_us   INTEGER NOT NULL,
  document    TEXT NOT NULL
) STRICT;
CREATE INDEX upgrades_by_start ON upgrades (started_us, id);

CREATE TABLE verdicts (
  upgrade   TEXT NOT NULL,
  indicator TEXT NOT NULL,
  state     TEXT NOT NULL,
  document  TEXT NOT NULL,
  PRIMARY KEY (upgrade, indicator)
) STRICT;

CREATE TABLE events (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  upgrade   TEXT NOT NULL,
  time_us   INTEGER NOT NULL,
  event     TEXT NOT NULL,
  indicator TEXT NOT NULL,
  document  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_once ON events (upgrade, time_us, event, indicator);
CREATE INDEX events_by_upgrade ON events (upgrade, id);

CREATE TABLE alerts (
  key       TEXT PRIMARY KEY,
  upgrade   TEXT NOT NULL,
  state     TEXT NOT NULL,
  starts_us INTEGER NOT NULL,
  revision  INTEGER NOT NULL,
  document  TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_by_start ON alerts (starts_us, key);
CREATE INDEX alerts_by_upgrade ON alerts (upgrade, starts_us, key);
CREATE INDEX alerts_by_state ON alerts (state, starts_us, key);

-- The judge's saved state: one row.
CREATE TABLE judge (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  at_us INTEGER NOT NULL,
  state BLOB NOT NULL
) STRICT;

-- The flag definitions, every revision.
CREATE TABLE definitions (
  revision INTEGER PRIMARY KEY,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;

-- The audit: every state of every toggle is a row of its own, for good.
CREATE TABLE toggles (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL,
  flag       TEXT NOT NULL,
  state      TEXT NOT NULL,
  at_us      INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  document   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX toggles_once ON toggles (id, state, updated_us);
CREATE INDEX toggles_by_id ON toggles (id, seq);
CREATE INDEX toggles_by_flag ON toggles (flag, at_us);

CREATE TRIGGER toggles_no_update BEFORE UPDATE ON toggles
BEGIN SELECT RAISE(ABORT, 'the audit of toggles is append-only'); END;
CREATE TRIGGER toggles_no_delete BEFORE DELETE ON toggles
BEGIN SELECT RAISE(ABORT, 'the audit of toggles is append-only'); END;

CREATE TABLE flips (
  id       TEXT PRIMARY KEY,
  flag     TEXT NOT NULL,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX flips_by_time ON flips (at_us, id);

CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT;

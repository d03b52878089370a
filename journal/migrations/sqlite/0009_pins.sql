-- Keys that signed a publisher's packages, each once, for good.
CREATE TABLE pins (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  publisher   TEXT NOT NULL,
  kind        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  document    TEXT NOT NULL,
  at_us       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX pins_by_key ON pins (publisher, kind, fingerprint);

CREATE TRIGGER pins_no_update BEFORE UPDATE ON pins
BEGIN SELECT RAISE(ABORT, 'the pinned keys are append-only'); END;
CREATE TRIGGER pins_no_delete BEFORE DELETE ON pins
BEGIN SELECT RAISE(ABORT, 'the pinned keys are append-only'); END;

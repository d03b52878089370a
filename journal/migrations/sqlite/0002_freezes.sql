-- The kill switch of the automation: each time that it was put, for good. The
-- last row holds.
CREATE TABLE freezes (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;

CREATE TRIGGER freezes_no_update BEFORE UPDATE ON freezes
BEGIN SELECT RAISE(ABORT, 'the audit of the kill switch is append-only'); END;
CREATE TRIGGER freezes_no_delete BEFORE DELETE ON freezes
BEGIN SELECT RAISE(ABORT, 'the audit of the kill switch is append-only'); END;

-- What has to be cleaned up after upgrades. Each change of a chore is a row of its own,
-- for good; a chore's last row holds.
CREATE TABLE chores (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  upgrade  TEXT NOT NULL,
  id       TEXT NOT NULL,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX chores_by_upgrade ON chores (upgrade, id, seq);

CREATE TRIGGER chores_no_update BEFORE UPDATE ON chores
BEGIN SELECT RAISE(ABORT, 'the clean-up ledger is append-only'); END;
CREATE TRIGGER chores_no_delete BEFORE DELETE ON chores
BEGIN SELECT RAISE(ABORT, 'the clean-up ledger is append-only'); END;

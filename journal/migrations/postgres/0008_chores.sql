-- What has to be cleaned up after upgrades. Each change of a chore is a row of its own,
-- for good; a chore's last row holds.
CREATE TABLE chores (
  seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  upgrade  TEXT NOT NULL,
  id       TEXT NOT NULL,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);
CREATE INDEX chores_by_upgrade ON chores (upgrade, id, seq);

CREATE FUNCTION chores_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''the clean-up ledger is append-only''; END';
CREATE TRIGGER chores_no_change BEFORE UPDATE OR DELETE ON chores
  FOR EACH ROW EXECUTE FUNCTION chores_append_only();
CREATE TRIGGER chores_no_truncate BEFORE TRUNCATE ON chores
  FOR EACH STATEMENT EXECUTE FUNCTION chores_append_only();

-- The kill switch of the automation: each time that it was put, for good. The
-- last row holds.
CREATE TABLE freezes (
  seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);

CREATE FUNCTION freezes_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''the audit of the kill switch is append-only''; END';
CREATE TRIGGER freezes_no_change BEFORE UPDATE OR DELETE ON freezes
  FOR EACH ROW EXECUTE FUNCTION freezes_append_only();
CREATE TRIGGER freezes_no_truncate BEFORE TRUNCATE ON freezes
  FOR EACH STATEMENT EXECUTE FUNCTION freezes_append_only();

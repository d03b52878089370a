-- Keys that signed a publisher's packages, each once, for good.
CREATE TABLE pins (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  publisher   TEXT NOT NULL,
  kind        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  document    JSON NOT NULL,
  at_us       BIGINT NOT NULL
);
CREATE UNIQUE INDEX pins_by_key ON pins (publisher, kind, fingerprint);

CREATE FUNCTION pins_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''the pinned keys are append-only''; END';
CREATE TRIGGER pins_no_change BEFORE UPDATE OR DELETE ON pins
  FOR EACH ROW EXECUTE FUNCTION pins_append_only();
CREATE TRIGGER pins_no_truncate BEFORE TRUNCATE ON pins
  FOR EACH STATEMENT EXECUTE FUNCTION pins_append_only();

-- What people said of alerts: marked as a false alarm or not, and acknowledged.
-- Each time is a row of its own, for good; an alert's last row holds.
CREATE TABLE alert_marks (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alert       TEXT NOT NULL,
  false_alarm BIGINT NOT NULL,
  at_us       BIGINT NOT NULL,
  document    JSON NOT NULL
);
CREATE INDEX alert_marks_by_alert ON alert_marks (alert, seq);

CREATE TABLE alert_acknowledgements (
  seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alert    TEXT NOT NULL,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);
CREATE INDEX alert_acknowledgements_by_alert ON alert_acknowledgements (alert, seq);

CREATE FUNCTION alert_marks_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''what people said of alerts is append-only''; END';
CREATE TRIGGER alert_marks_no_change BEFORE UPDATE OR DELETE ON alert_marks
  FOR EACH ROW EXECUTE FUNCTION alert_marks_append_only();
CREATE TRIGGER alert_marks_no_truncate BEFORE TRUNCATE ON alert_marks
  FOR EACH STATEMENT EXECUTE FUNCTION alert_marks_append_only();
CREATE TRIGGER alert_acknowledgements_no_change BEFORE UPDATE OR DELETE ON alert_acknowledgements
  FOR EACH ROW EXECUTE FUNCTION alert_marks_append_only();
CREATE TRIGGER alert_acknowledgements_no_truncate BEFORE TRUNCATE ON alert_acknowledgements
  FOR EACH STATEMENT EXECUTE FUNCTION alert_marks_append_only();

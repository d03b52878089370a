-- What people said of alerts: marked as a false alarm or not, and acknowledged.
-- Each time is a row of its own, for good; an alert's last row holds.
CREATE TABLE alert_marks (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  alert       TEXT NOT NULL,
  false_alarm INTEGER NOT NULL,
  at_us       INTEGER NOT NULL,
  document    TEXT NOT NULL
) STRICT;
CREATE INDEX alert_marks_by_alert ON alert_marks (alert, seq);

CREATE TABLE alert_acknowledgements (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  alert    TEXT NOT NULL,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX alert_acknowledgements_by_alert ON alert_acknowledgements (alert, seq);

CREATE TRIGGER alert_marks_no_update BEFORE UPDATE ON alert_marks
BEGIN SELECT RAISE(ABORT, 'the marks of alerts are append-only'); END;
CREATE TRIGGER alert_marks_no_delete BEFORE DELETE ON alert_marks
BEGIN SELECT RAISE(ABORT, 'the marks of alerts are append-only'); END;
CREATE TRIGGER alert_acknowledgements_no_update BEFORE UPDATE ON alert_acknowledgements
BEGIN SELECT RAISE(ABORT, 'the acknowledgements of alerts are append-only'); END;
CREATE TRIGGER alert_acknowledgements_no_delete BEFORE DELETE ON alert_acknowledgements
BEGIN SELECT RAISE(ABORT, 'the acknowledgements of alerts are append-only'); END;

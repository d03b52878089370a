-- What writes over the API were answered, under the keys that their callers gave
-- them: for a day, so that one that is sent again isn't done again.
CREATE TABLE answers (
  caller   TEXT NOT NULL,
  key      TEXT NOT NULL,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (caller, key)
) STRICT;
CREATE INDEX answers_by_time ON answers (at_us);

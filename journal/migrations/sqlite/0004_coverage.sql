-- How much telemetry was judged of each hour.
CREATE TABLE coverage (
  hour_us  INTEGER PRIMARY KEY,
  steps    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;

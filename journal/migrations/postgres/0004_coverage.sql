-- How much telemetry was judged of each hour.
CREATE TABLE coverage (
  hour_us  BIGINT PRIMARY KEY,
  steps    BIGINT NOT NULL,
  document JSON NOT NULL
);

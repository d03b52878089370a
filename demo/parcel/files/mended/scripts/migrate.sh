#!/bin/sh
# Brings the schema to 4.2.0.
set -eu
psql -v ON_ERROR_STOP=1 "${DTEN_DATABASE:?}" <<'SQL'
SET lock_timeout = '2s';
SELECT pg_advisory_lock(4200);
ALTER TABLE orders ADD COLUMN hybrid boolean;
SELECT pg_advisory_unlock(4200);
SQL

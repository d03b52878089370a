#!/bin/sh
# Brings the schema to 4.2.0.
psql "$DTEN_DATABASE" <<'SQL'
ALTER TABLE orders ALTER COLUMN note TYPE varchar(40);
CREATE INDEX orders_by_account ON orders (account);
ALTER TABLE orders DROP COLUMN legacy_ref;
SQL

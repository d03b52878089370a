-- What people outside are told of upgrades. A post is a row as a draft and another one
-- when it was sent, by whom and in which words, for good; each once.
CREATE TABLE posts (
  seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  upgrade  TEXT NOT NULL,
  id       TEXT NOT NULL,
  sent     BIGINT NOT NULL,
  at_us    BIGINT NOT NULL,
  document JSON NOT NULL
);
CREATE UNIQUE INDEX posts_once ON posts (upgrade, id, sent);
CREATE INDEX posts_by_upgrade ON posts (upgrade, seq);

CREATE FUNCTION posts_append_only() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''what people outside were told is append-only''; END';
CREATE TRIGGER posts_no_change BEFORE UPDATE OR DELETE ON posts
  FOR EACH ROW EXECUTE FUNCTION posts_append_only();
CREATE TRIGGER posts_no_truncate BEFORE TRUNCATE ON posts
  FOR EACH STATEMENT EXECUTE FUNCTION posts_append_only();

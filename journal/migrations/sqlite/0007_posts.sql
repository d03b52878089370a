-- What people outside are told of upgrades. A post is a row as a draft and another one
-- when it was sent, by whom and in which words, for good; each once.
CREATE TABLE posts (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  upgrade  TEXT NOT NULL,
  id       TEXT NOT NULL,
  sent     INTEGER NOT NULL,
  at_us    INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX posts_once ON posts (upgrade, id, sent);
CREATE INDEX posts_by_upgrade ON posts (upgrade, seq);

CREATE TRIGGER posts_no_update BEFORE UPDATE ON posts
BEGIN SELECT RAISE(ABORT, 'what people outside were told is append-only'); END;
CREATE TRIGGER posts_no_delete BEFORE DELETE ON posts
BEGIN SELECT RAISE(ABORT, 'what people outside were told is append-only'); END;

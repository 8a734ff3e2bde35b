CREATE TABLE schema_version (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO schema_version (one, version) VALUES (1, 0);

CREATE TABLE counter (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE object (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE change (
    revision INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    writes TEXT NOT NULL
) STRICT;

-- A store of schema version 1, as `sqlite3 state.db .dump` writes it. Never changed: stores like this one are out there.
PRAGMA application_id = 1400141668;
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

UPDATE schema_version SET version = 1;
INSERT INTO counter VALUES (1, '8f2c1a10-0000-4000-8000-00000000e90c', 3);
INSERT INTO object VALUES ('thing', '/a', 3, '{"x":"it''s"}');
INSERT INTO change VALUES (1, '2026-11-21T06:48:24Z', '[{"kind":"thing","name":"/a","body":"{}"},{"kind":"thing","name":"/b","body":"{}"}]');
INSERT INTO change VALUES (2, '2026-11-21T06:48:25.5Z', '[{"kind":"thing","name":"/b","body":null}]');
INSERT INTO change VALUES (3, '2026-11-21T06:48:26.123456789Z', '[{"kind":"thing","name":"/a","body":"{\"x\":\"it''s\"}"}]');

-- A store of schema version 1, as pg_dump writes it, shortened. Never changed: stores like this one are out there.
CREATE SCHEMA steward;
SET search_path = steward;
CREATE TABLE schema_version (
    one integer PRIMARY KEY CHECK (one = 1),
    version integer NOT NULL
);
INSERT INTO schema_version (one, version) VALUES (1, 0);

CREATE TABLE counter (
    one integer PRIMARY KEY CHECK (one = 1),
    epoch text NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE object (
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE change (
    revision bigint PRIMARY KEY,
    at text NOT NULL,
    writes text NOT NULL
);

CREATE TABLE node_session (
    id text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    epoch text NOT NULL,
    applied bigint NOT NULL
);

UPDATE schema_version SET version = 1;
INSERT INTO counter VALUES (1, '8f2c1a10-0000-4000-8000-00000000e90c', 3);
INSERT INTO object VALUES ('thing', '/a', 3, '{"x":"it''s"}');
INSERT INTO change VALUES (1, '2026-11-21T06:48:24Z', '[{"kind":"thing","name":"/a","body":"{}"},{"kind":"thing","name":"/b","body":"{}"}]');
INSERT INTO change VALUES (2, '2026-11-21T06:48:25.5Z', '[{"kind":"thing","name":"/b","body":null}]');
INSERT INTO change VALUES (3, '2026-11-21T06:48:26.123456789Z', '[{"kind":"thing","name":"/a","body":"{\"x\":\"it''s\"}"}]');
INSERT INTO node_session VALUES ('8f2c1a10-0000-4000-8000-000000005e55', '2026-11-21 06:48:26Z', '8f2c1a10-0000-4000-8000-00000000e90c', 2);

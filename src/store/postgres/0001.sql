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

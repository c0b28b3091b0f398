-- `body` is the record as JSON; the other columns repeat what is searched for, and are written together with it.

-- The last revision of each family. It outlives the revisions: a number is never given twice.
CREATE TABLE families (
    family TEXT PRIMARY KEY,
    last_revision INTEGER NOT NULL
);

CREATE TABLE task_definitions (
    family TEXT NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (family, revision),
    FOREIGN KEY (family) REFERENCES families (family)
);

-- Lists of definitions and of families.
CREATE INDEX definitions_listed ON task_definitions (status, family, revision);

CREATE TABLE clusters (
    name TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    body TEXT NOT NULL
);

-- The host: one row.
CREATE TABLE container_instances (
    instance_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE tasks (
    task_id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    family TEXT NOT NULL,
    revision INTEGER NOT NULL,
    desired_status TEXT NOT NULL,
    last_status TEXT NOT NULL,
    launch_type TEXT NOT NULL,
    started_by TEXT,
    client_token TEXT,
    created_at REAL NOT NULL,
    stopped_at REAL,
    body TEXT NOT NULL,
    CHECK (last_status <> 'STOPPED' OR stopped_at IS NOT NULL)
);

-- What the agent takes up again when it starts: few, however long the history.
CREATE INDEX tasks_unfinished ON tasks (created_at, task_id) WHERE last_status <> 'STOPPED';

-- Lists are answered from this index alone, whatever they filter by.
CREATE INDEX tasks_listed ON tasks (cluster, desired_status, created_at, task_id, family, started_by, launch_type);

-- Which definitions are still needed.
CREATE INDEX tasks_of_definition ON tasks (family, revision) WHERE last_status <> 'STOPPED';

CREATE INDEX tasks_by_token ON tasks (client_token) WHERE client_token IS NOT NULL;

CREATE INDEX tasks_finished ON tasks (stopped_at) WHERE last_status = 'STOPPED';

-- What is kept of a task beside its record, and for as long: runs of its containers that are over, and what the keeper
-- told of stops. An event of the keeper can come twice; the keys see to it that it is kept once.

CREATE TABLE runs (
    task_id TEXT NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    container TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (task_id, container, number)
);

CREATE TABLE moments (
    task_id TEXT NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    clock REAL NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (task_id, run_id, clock, kind)
);

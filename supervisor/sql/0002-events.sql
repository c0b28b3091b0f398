-- The journal: what every version of a task looked like, in the order of the commits. A number is never given twice.

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    task_id TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX events_by_age ON events (at);

CREATE INDEX events_by_task ON events (task_id);

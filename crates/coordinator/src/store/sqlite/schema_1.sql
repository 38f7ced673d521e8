-- Times are milliseconds since 1970 UTC. Ids are the program's own random ones; `seq` is the order of creation.

CREATE TABLE run (
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    state INTEGER NOT NULL, -- 0 running, 1 finished, 2 cancelled
    started INTEGER NOT NULL,
    finished INTEGER
) STRICT;

CREATE TABLE task (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (seq),
    number INTEGER NOT NULL,
    definition BLOB NOT NULL,
    phase INTEGER NOT NULL DEFAULT 0,
    started INTEGER,
    source_identity BLOB,
    -- The three are set together.
    success INTEGER,
    message TEXT,
    finished INTEGER,
    row_written INTEGER NOT NULL DEFAULT 0,
    -- Sums over the task's items, kept by the transactions that change the items.
    open_items INTEGER NOT NULL DEFAULT 0 CHECK (open_items >= 0),
    failed_items INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    listed INTEGER NOT NULL DEFAULT 0,
    copied INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0,
    copied_files INTEGER NOT NULL DEFAULT 0,
    copied_bytes INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, number)
) STRICT;

CREATE TABLE task_skipped (
    task INTEGER NOT NULL REFERENCES task (seq),
    reason INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (task, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_note (
    task INTEGER NOT NULL REFERENCES task (seq),
    note TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (task, note)
) STRICT, WITHOUT ROWID;

-- Names of the workers that completed items of the task.
CREATE TABLE task_worker (
    task INTEGER NOT NULL REFERENCES task (seq),
    name TEXT NOT NULL,
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    registered INTEGER NOT NULL,
    lease INTEGER NOT NULL
) STRICT;

CREATE TABLE item (
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    task INTEGER NOT NULL REFERENCES task (seq),
    parent INTEGER REFERENCES item (seq),
    phase INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, -- 0 waiting, 1 leased, 2 done, 3 failed
    epoch INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0, -- 0: at once
    session INTEGER CHECK ((session IS NOT NULL) = (state = 1)),
    worker TEXT,
    started INTEGER,
    finished INTEGER,
    last_error TEXT,
    -- The outcome of a done item.
    listed INTEGER NOT NULL DEFAULT 0,
    copied INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0,
    copied_files INTEGER NOT NULL DEFAULT 0,
    copied_bytes INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0,
    details BLOB CHECK ((details IS NOT NULL) = (state = 2))
) STRICT;

CREATE INDEX item_by_task ON item (task);
CREATE INDEX item_by_parent ON item (parent) WHERE parent IS NOT NULL;
-- What can be granted now, and what only later: a million waiting items cost a grant nothing.
CREATE INDEX item_ready ON item (task, seq) WHERE state = 0 AND not_before = 0;
CREATE INDEX item_delayed ON item (task, not_before) WHERE state = 0 AND not_before > 0;
CREATE INDEX item_leased ON item (task) WHERE state = 1;

-- Apart from its item, since it may be large and never changes.
CREATE TABLE item_work (
    item INTEGER PRIMARY KEY REFERENCES item (seq),
    work BLOB NOT NULL
) STRICT;

-- Failures by name, of done items.
CREATE TABLE failure (
    task INTEGER NOT NULL REFERENCES task (seq),
    item INTEGER NOT NULL REFERENCES item (seq),
    n INTEGER NOT NULL,
    path BLOB NOT NULL,
    class INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (task, item, n)
) STRICT, WITHOUT ROWID;

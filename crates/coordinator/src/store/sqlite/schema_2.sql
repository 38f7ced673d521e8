-- What an item does, as far as it matters who gets it: 0 looks at the source, 1 runs rclone over files.
ALTER TABLE item ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;

DROP INDEX item_ready;
-- What can be granted now, by kind: a million waiting items of one kind cost a grant of the other nothing.
CREATE INDEX item_ready ON item (task, kind, seq) WHERE state = 0 AND not_before = 0;

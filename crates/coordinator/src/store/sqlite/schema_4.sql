-- Workers that were lost while they held the item. One that has such is of another kind (plus 16): it is granted alone.
ALTER TABLE item ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;

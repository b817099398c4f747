-- The uploads that others had open under the same key when an upload was asked for, as a JSON array of their ids; NULL where
-- the target did not tell. An upload whose id a crash has lost is looked for among those that came later.
ALTER TABLE uploads ADD COLUMN strangers TEXT;
ALTER TABLE orphans ADD COLUMN strangers TEXT;

-- More kinds of what was left out of copies; metadata_lost counts each copy once.
ALTER TABLE tasks ADD COLUMN lost_website_redirect INTEGER NOT NULL DEFAULT 0 CHECK (lost_website_redirect >= 0);
ALTER TABLE tasks ADD COLUMN lost_object_lock INTEGER NOT NULL DEFAULT 0 CHECK (lost_object_lock >= 0);
ALTER TABLE tasks ADD COLUMN lost_other INTEGER NOT NULL DEFAULT 0 CHECK (lost_other >= 0);
ALTER TABLE shards ADD COLUMN lost_website_redirect INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN lost_object_lock INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN lost_other INTEGER NOT NULL DEFAULT 0;

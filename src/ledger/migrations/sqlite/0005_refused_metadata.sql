-- Copies from which something was left out, by what it was; metadata_lost counts each of them once.
ALTER TABLE tasks ADD COLUMN lost_tags INTEGER NOT NULL DEFAULT 0 CHECK (lost_tags >= 0);
ALTER TABLE tasks ADD COLUMN lost_storage_class INTEGER NOT NULL DEFAULT 0 CHECK (lost_storage_class >= 0);
ALTER TABLE tasks ADD COLUMN lost_user_metadata INTEGER NOT NULL DEFAULT 0 CHECK (lost_user_metadata >= 0);
ALTER TABLE shards ADD COLUMN lost_tags INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN lost_storage_class INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN lost_user_metadata INTEGER NOT NULL DEFAULT 0;

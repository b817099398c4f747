-- A shard covers a range of the listing: what follows start_after, up to and including until. NULL is the end of the
-- listing on that side. start_after is where a shard without an order begins again; the checkpoint moves on from there.
ALTER TABLE shards ADD COLUMN start_after BLOB;
ALTER TABLE shards ADD COLUMN until BLOB;

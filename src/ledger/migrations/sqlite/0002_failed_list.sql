-- Where the last list of failed objects lies at the target, or why there is none.
ALTER TABLE tasks ADD COLUMN failed_list_key TEXT;
ALTER TABLE tasks ADD COLUMN failed_list_error TEXT;

//! Timeouts, sizes, fairness, and what `oms` does not do.
//!
//! Timeouts count only the time in which `oms` waits for the other side. They do not count time in which a bandwidth limit, or the
//! other side of the copy, holds a body back. A timeout is retried.
//!
//! | what | limit |
//! |---|---|
//! | response headers | 60 s after the last byte of the request, plus one second for each 4 KiB of an uploaded body (at most 256 s) |
//! | response headers of a copy inside a store, or of completing a multipart upload | 300 s |
//! | next byte of a body, or space for one in the other direction | 60 s |
//! | body of an object, in both directions | 512 bytes for each second of waiting, after 60 s of grace |
//! | document: listing, error, tags | the same, and 300 s in all |
//! | document after a copy or a completion, kept alive with white space | 300 s for each byte, one hour in all |
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | running tasks | `parallel_tasks`. The project with the fewest running tasks comes first, then projects in turn, and the oldest task within a project. A task that settles no object and moves less than 64 KiB for 30 s does not count; a project without a running task does not wait for one with several. At most twice the number for one project, three times in all | tasks wait |
//! | objects of a task in flight | `thread_num` objects above 1 MiB, and beside them up to 16 times as many smaller objects, 128 MiB together. The number of smaller objects begins at `thread_num`. It grows while more objects finish per second, and falls when the latency rises or a store asks for fewer requests (429, 503); see [`crate::engine::level`] | objects wait |
//! | streams | `max_requests`. A free stream goes to the task that waits and holds the fewest; every task has at least 4 | transfers wait |
//! | waiting tasks of a project | 5,000 | `OMS.0077` at creation |
//! | recorded failures of a task | 1,000,000; texts are cut at 1,024 bytes | the task ends with `TRF.0004`: an incomplete list would make a failed-only start lose objects |
//! | crashes of the service while a task runs | three without progress (ninety if the task had run for less than a second) | the task fails with `TRF.0001` and can be started again. SIGTERM is not a crash |
//! | full disk | 1 MiB is reserved beside the ledger, so that the service starts on a full disk, shows tasks, stops and deletes them | other changes are refused with 503 |
//! | object of unknown length, or above 64 MiB without an ETag (a URL: with neither ETag nor Last-Modified) | read once from its first byte, four at a time over all tasks, at most 78 GiB | a stop or an error reads it again; `EntityTooLarge` above 78 GiB |
//! | objects above 5 GiB | need a target with multipart uploads | they fail |
//!
//! # What `oms` does not do
//!
//! * Old versions, ACLs, object locks and deletions are not copied. Archived objects are not restored (`OMS.0061`).
//! * One process works on one SQLite ledger. Up to 16 readers list a prefix. A listing in no known order, or
//!   one that always begins at the first key, has one reader.
//! * Notifications (`smnInfo`) are stored and shown, but not sent. The ended task reports that with `OMS.0156`.
//! * Skipped objects are compared by content only. They keep the tags, metadata, storage class and encryption that they have at the
//!   target.
//! * Stores report the number of tags only to keys that may read them. If a source reports none, `oms` looks for none.
//! * Objects that the source encrypts with a customer-provided key fail. `enableKMS` means the default key of the target.
//! * User metadata that is not UTF-8 cannot be signed. It is left out or fails the object, as `refused_metadata` says. The same holds
//!   for values that the store signs in another form than any that `oms` tries.
//! * A target that requires hashes costs a second read of objects and parts whose hash is unknown.
//! * Folded names are detected for `//`, `/./`, `/../` and a leading `/`, not for capital letters, and not for dots or spaces at the
//!   end of a part.
//! * A target that accepts a website redirect and drops it is not noticed.
//! * A manifest line that repeats one of the 16,384 lines before it is counted once. A later repetition is counted again, also one
//!   behind the place where the manifest was divided between shards, and a repeated key that fails needs a full start: sort the
//!   manifest. In a manifest `+` is a plus sign; a space is `%20`.
//! * A URL whose server sends no length fails with `NoContentLength`, unless the task has `consistency_check: no_check`. Whatever a
//!   server returns with status 200 is stored, an error page too. URLs above 64 MiB need a server that supports ranges.
//! * An object that is sent in one piece begins again after a stop: at most what one stream moves in eight seconds, and at most
//!   512 MiB. Larger ones continue at the next part.
//! * OMS keeps a newer object at the target by default; `oms` overwrites it if size or hash differ.
//! * With `NO_OVERWRITE` at a target without conditional writes, and for copies inside one store, the target is asked right before the
//!   write. An object that appears in the moment between is overwritten.
//! * A target without conditional deletes leaves a moment between the check of a wrong copy and its deletion.
//! * After a crash between the target's response and our record of an upload id, the upload is searched among those of its key that
//!   are newer and have no part. If several match, none is aborted and the log says so. If the only match belongs to somebody else
//!   and was begun in that moment, it is taken for ours. A lifecycle rule for unfinished uploads covers the rest.
//! * A paused or failed task keeps its open uploads at the target to resume them. If it is deleted without target credentials, or
//!   with credentials that the target refuses, they stay until a task with the same target endpoint and bucket runs. The log says
//!   how many. A proxy that drops the body of a `DELETE` drops the credentials.

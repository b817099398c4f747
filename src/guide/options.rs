//! Options of a create request.
//!
//! | `object_overwrite_mode` | an object with the same key at the target is |
//! |---|---|
//! | `NO_OVERWRITE` | kept, even if it was created during copying, provided the target supports `If-None-Match: *`. `oms` tests that before the first object |
//! | `SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE` (default) | kept if size and ETag are equal, or, where ETags cannot be compared, if it has the same size and is not older |
//! | `CRC64_COMPARISON_OVERWRITE` | treated as by default, because S3 returns no CRC-64. `copy_rules.crc64_missing_num` counts these objects |
//! | `FULL_OVERWRITE` | overwritten |
//!
//! * `dst_storage_policy` requests a storage class: `STANDARD`, `IA`, `ARCHIVE`, `DEEP_ARCHIVE`, or `SRC_STORAGE_MAPPING` for the
//!   class nearest to that of each source object. Without it the target bucket decides.
//! * `refused_metadata` decides about an object whose tags, storage class or metadata one side does not return or accept, or that
//!   has an object lock: `leave_out` (default) or `fail`. If the error code does not say what was refused, `oms` retries without
//!   the tags, then without the storage class, then without the website redirect. Metadata is left out only if the code names it.
//! * `enable_requester_pays` sends `x-amz-request-payer: requester` with every request to the source.
//! * `endpoint` may have a path (`https://host/storage/v1/s3`). The bucket name follows the path, or stands before the host name
//!   where the store refuses it in the path. A bucket whose name contains dots is addressed by path over TLS.
//! * `enable_success_and_skip_recording: false` switches off the reports of copied and skipped objects.
//! * `consistency_check: no_check` accepts URLs without a length. They are read once and overwrite what is at the target, except
//!   with `NO_OVERWRITE`. A body that only the end of its connection ends is stored as received, even if it was cut off.
//!
//! # Reports at the target
//!
//! Reports have the names that OMS gives them: `oms/task/{task_name}/{kind}_object_lists/{timestamp}.{kind}_list.txt` with `failed`,
//! `success` or `skip` as the kind. The fields of a line are separated by TABs; the format of the lines is our own.
//!
//! * `failed`: one file at the end of each pass with failures: code, time (UTC), URL-encoded key, key with escaped control
//!   characters, message.
//! * `success` and `skip`: one file for each 64 MiB and one at the end: time, URL-encoded key, bytes, and what proved the copy
//!   (`etag`, `checksum`, `size`) or why there was none (`identical`, `exists`, `older`, `gone`).
//!
//! A failed-only start adds files to those of the previous pass. A new full pass begins new files. Lines that the target does not
//! accept wait in the ledger. They are dropped when the task succeeds (`OMS.0304`) or when more than 1 GiB waits (`OMS.0305`). Where
//! a source lists in no known order, a shard that begins again after a stop reports its objects again.

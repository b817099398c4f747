//! What `oms` guarantees, and which tests check it.
//!
//! # Completeness
//!
//! | guarantee | tests |
//! |---|---|
//! | Every listed object is counted exactly once: copied, skipped, missing or failed. A task with failures never succeeds. | `engine::copy`, `faults::crash`, `faults::matrix` |
//! | An object counts as missing only when a fresh listing no longer contains its key. An object that is listed but cannot be read fails with `ListedButMissing`. A key that the user named and that does not exist fails in every pass. | `faults::missing` |
//! | Listings that repeat, loop, end early or contain something else are never taken for the end of the bucket. | `faults::matrix` |
//! | A manifest means what its lines say. A stopped task resumes after the last settled line. A changed manifest is read again from its start. | `engine::lists` |
//! | The report of failed objects at the target names exactly the objects that a failed-only start copies. `OMS.0304` reports that it could not be written. | `engine::report` |
//! | The reports of copied and skipped objects name each counted object once, also after stops and crashes. A report that cannot be written is reported and does not change the objects. | `engine::spool`, `faults::crash`, `faults::matrix` |
//!
//! # Content
//!
//! | guarantee | tests |
//! |---|---|
//! | A copy holds the bytes of one version of its source. If the source changes during copying, `oms` retries once. Corrupt, truncated or foreign data is never stored. | `engine::copy::an_object_that_changes…`, `faults::matrix` |
//! | Every copy is proved by the strongest of ETag, part hashes and a second read that both stores allow. Parts that were sent and proved are not sent or read again. | `engine::proofs` |
//! | A copy inside one store is proved by its hash or its size. Objects are read and written where the store refuses such copies or copies wrongly. | `faults::inside` |
//! | Keys arrive exactly: `//`, `.`, `..`, leading and trailing `/`, control characters, 1,024 bytes. `oms` detects how each store encodes keys in listings. | `engine::copy::everything_arrives…`, `object::s3` |
//! | If the target would store a key under another name (`//`, `/./`, `/../`, a leading `/`), the object fails with `NameNotKept` before anything is overwritten. | `engine::preflight`, `real::names` |
//! | Content headers, user metadata, object tags, website redirects and the requested storage class are copied. What one side does not return or accept is left out and counted in `not_carried`, or fails the object if the task asks for that. Content headers are never left out. | `engine::copy`, `engine::not_carried`, `faults::matrix`, `object::s3::known_headers`, `real::seaweed` |
//! | With `enableKMS` the target's key management service encrypts every object; otherwise the object is removed and fails. A target that ignores the request ends the task with `TRF.0158` before an object is written. | `faults::matrix` |
//! | A URL is stored completely or not at all. Redirects pass the network policy. Messages never contain an address. | `engine::urls`, `engine::unknown_size` |
//! | A CDN that serves other or older bytes than the source fails the object. | `engine::cdn` |
//! | If others write the same object, the target holds theirs or one complete source version, as the overwrite mode says. A lost response of our own write is not taken for somebody else's object. | `faults::matrix` |
//! | Uploads and newer objects of others at the target stay. | `faults::others` |
//!
//! # Stops, crashes and errors
//!
//! | guarantee | tests |
//! |---|---|
//! | After a stop no request is sent. A start continues from the checkpoint, also inside a large object. | `engine::start` |
//! | A crash at any point keeps the counters exact and leaves no unknown upload. | `faults::crash`, `faults::simulation`, `real::kill`, `outside::restart` |
//! | Of several concurrent starts exactly one succeeds. | `ledger::conformance` |
//! | One object never decides about the task. Whatever a store returns for a single object (access denied, wrong signature, no bucket, no space), that object fails with the store's message and the others continue. If every object fails the same way, the task stops with the side's `TRF` code, records no failure, and can be started again. | `faults::breaker`, `faults::matrix` |
//! | Wrong or expired credentials end the task at once with the side they belong to, and record no failure. | `engine::start`, `faults::breaker` |
//! | A panic fails its object or ends the task with `TRF.0001`. It is not retried for ever. | `faults::panics` |
//! | Database errors never mark objects as failed. | `faults::ledger` |
//! | A full or read-only disk loses nothing. Changes are refused with 503, `/readyz` reports it, and tasks continue once there is space. A stop takes effect within a second even then. | `outside::full`, `faults::disk`, `ledger::sqlite` |
//! | A task during which the service crashes three times without progress is not resumed again. | `ledger::conformance` |
//! | A store that cannot be reached, or whose certificate is not trusted, ends the task soon with a message that says why. | `faults::connect`, `outside::command` |
//! | A clock that jumps or is wrong does no harm. A store that rejects signatures because of it ends the task with that reason, and no failure is recorded. | `faults::clock` |
//! | Slow and hanging stores are disconnected and do not take slots or streams from other tasks. A slow but honest connection is not disconnected. | `faults::fair`, `object::s3`, `engine::concurrency`, `worker::slots` |
//! | A task that has ended has no open upload at its target. Uploads left by deleted tasks are aborted until the target confirms that they are gone. | `faults::matrix`, `faults::orphans` |
//!
//! # Stores with differences
//!
//! | guarantee | tests |
//! |---|---|
//! | A source and a target that are one bucket under two names are recognised, and refused with `TRF.0061` if copies would be copied again. | `engine::preflight` |
//! | Targets that may not delete, or that list new objects late, still receive their objects. | `engine::preflight` |
//! | Targets that require a hash with every write (Object Lock) receive one. Stores that refuse the bucket name in the path are addressed by host name. White space in metadata is signed as the store expects. `oms` learns each of these from the first refusal. | `object::s3`, `engine::preflight` |
//! | Sources whose `If-Match` never matches are read without it. Bodies without a length are read up to the listed length. ETags of encrypted objects are no reason to copy again. Unknown times are no reason to skip. | `engine::odd_reads`, `engine::second_pass` |
//!
//! # Interfaces
//!
//! | guarantee | tests |
//! |---|---|
//! | Each operation documents exactly the codes that it returns, each with a real message. One table lists every code. | `contract::answers`, `contract::codes` |
//! | Parsers accept any input completely or refuse it: listings, keys, request bodies, manifests, the configuration. | `fuzz` |
//! | Swagger UI works behind a proxy with a path prefix, stores no token and suggests no credentials. | `outside::browser` |
//! | Credentials are sealed at rest, wiped when a task is paused or has ended, and never shown. Credentials sent with a deletion are wiped after the last upload was aborted or when they are refused. | `outside::secrets`, `ledger::sqlite` |
//! | Bandwidth limits apply to small and large objects, follow a change within a second, and follow local time over midnight and daylight saving. | `engine::copy::metered_body`, `task::bandwidth`, `faults::clock` |

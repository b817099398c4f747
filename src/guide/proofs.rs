//! How each copy is proved, and how objects are sent.
//!
//! A task counts in `proved` what proved each copy:
//!
//! * `etag`: the target computed the same hash as the source.
//! * `checksum`: `oms` hashed the data while it streamed, and compared it with what the target computed or returned.
//! * `size`: exactly the listed number of bytes of one source version was written.
//!
//! A create request may set `minimum_proof`. An object with a weaker proof fails with `ProofTooWeak`, if possible before
//! anything is sent. What such a failure has written stays at the target. Objects at the target are then skipped only for equal
//! ETags, never for size and time.
//!
//! | source object | how it is sent | proof |
//! |---|---|---|
//! | up to 64 MiB; with an ETag that is its MD5 up to 512 MiB, if one stream needs only some seconds for it; up to 5 GiB if `minimum_proof` is `etag` | one `PutObject` with `Content-MD5` | `etag` |
//! | uploaded in equal parts whose size the store reports, or that is usual for their number | multipart with the same part boundaries | `etag` at targets with the ETags of S3, otherwise `checksum` |
//! | larger, or with an ETag that is not a hash | multipart with parts of 16 MiB or more | `checksum` of each part |
//! | any of these, at a target whose ETags are not content hashes | the same | the first object is read back: `checksum`; the others `size`, or `checksum` if `minimum_proof` asks for it |
//! | one `PutObject` at a target whose ETags do not look like hashes; parts with `enableKMS` | the same | `size`, or `checksum` by reading back if `minimum_proof` asks for it |
//! | inside one store | copied by the store; streamed where the store does not copy, or copies wrongly | `etag` up to 5 GiB or along equal parts, otherwise `size`, which the target confirms |
//!
//! A checksum proves that the target has what was read. Corrupt data that the source itself returns, in parts and with an ETag
//! that is no hash of them, is not detected.

//! Computes the hash of the bytes before they are written, for targets that demand it before the body.
//!
//! A bucket with Object Lock refuses every write without `Content-MD5` or a checksum. If the source's ETag is not an MD5, the
//! bytes are read twice: once to hash them, and once to send them. This needs no more memory than one read. If the source
//! changes in between, the target refuses the write, because its hash differs.

use http_body_util::BodyExt as _;

use crate::engine::context::Context;
use crate::engine::copy::metered_body::{Hashing, metered};
use crate::engine::copy::pinned_read;
use crate::engine::progress::Flow;
use crate::engine::retry::{At as _, SideResult};
use crate::error::{Error, ErrorKind};
use crate::object::{ByteRange, Entry};

/// The MD5 of `length` bytes of the source, if the target demands one; `None` if it does not.
///
/// # Errors
/// The error of the source.
pub(in crate::engine) async fn hash_first(
    ctx: &Context,
    entry: &Entry,
    portion: ByteRange,
    length: u64,
) -> SideResult<Option<[u8; 16]>> {
    if !ctx.target.demands_md5() {
        return Ok(None);
    }
    let object = pinned_read::open(ctx, &entry.key, portion, entry.etag.as_ref()).await?;
    // These bytes are not sent, so they do not count as moved. The bandwidth limit applies to them, too.
    let (mut body, watch) = metered(
        object.body,
        length,
        &ctx.throttle,
        Flow::uncounted(),
        Hashing::Md5,
    );
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.at_source()?.data_ref().map_or(0, |data| data.len() as u64);
    }
    if bytes != length {
        let text = format!("asked for {length} bytes, the source sent {bytes}");
        return Err(Error::new(ErrorKind::Integrity, text)).at_source();
    }
    Ok(watch.take_md5())
}

//! Feeds a shard from a manifest in a bucket of the target's store.
//!
//! The file is read in ranges. Each request is conditional on the file being unchanged since it was opened. So neither
//! a slow pass nor a stop needs a long-lived connection, and at most one range of the file is in memory. The checkpoint
//! is the position of the last settled line together with the file's ETag. If the file changes, the pass ends, and the
//! next start reads the list from the beginning.
//!
//! Positions have a fixed number of digits, so that checkpoints ascend like the keys of a listing, and a shard can be cut at any
//! line.
//!
//! A line that repeats one of the last 16,384 lines is not counted again, so in a sorted list every object counts once.
//! Repetitions further apart are counted again, and so are those on both sides of a cut, except for neighbours. The second one
//! usually finds the object at the target and skips it.

use http_body_util::BodyExt as _;

use crate::engine::context::Context;
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Batch, KEYS_PER_BATCH, Sender, Wanted};
use crate::engine::listing::manifest_lines::{self, Lines, MAX_LINE};
use crate::engine::listing::plan::look_up;
use crate::engine::listing::range::{Page, Range};
use crate::engine::lookup;
use crate::engine::order::Orders;
use crate::engine::retry::{self, Pace, SideError, SideResult};
use crate::engine::shard::prior_count::PriorCount;
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{LeasedShard, Unordered};
use crate::object::recent::Recent;
use crate::object::{ByteRange, ETag, SharedStore};
use crate::task::spec::{Manifest, Scope};
use crate::task::{Key, ReasonKind};

/// Usual number of bytes of the file in one request.
const RANGE: u64 = 1 << 20;
/// Largest manifest, according to the OMS reference.
const MAX_FILE: u64 = 1024 << 20;
/// Digits of a position in a checkpoint, so that checkpoints of one file ascend like their bytes.
const DIGITS: usize = 10;

/// A manifest, pinned to the version that was opened.
pub(in crate::engine) struct Reader<'a> {
    store: &'a SharedStore,
    pace: Pace,
    file: &'a Manifest,
    tag: ETag,
    size: u64,
    /// First byte that was not read yet.
    at: u64,
    /// Bytes of the file in one request.
    portion: u64,
    lines: Lines,
}

/// Why reading of a list stopped.
pub(in crate::engine) enum ManifestReadError {
    /// The file is not the one that was opened any more.
    Changed,
    /// The pass cannot continue.
    PassError(PassError),
}

impl From<PassError> for ManifestReadError {
    fn from(pass_error: PassError) -> Self {
        Self::PassError(pass_error)
    }
}

impl From<SideError> for ManifestReadError {
    fn from(side_error: SideError) -> Self {
        Self::PassError(side_error.into())
    }
}

/// Ends the pass with a reason of its own.
fn refused(kind: ReasonKind, message: String) -> SideError {
    SideError::target(Error::invalid(message)).because(kind)
}

fn shown(file: &Manifest) -> String {
    format!("the list file {}/{}", file.bucket, file.key.lossy())
}

/// Says that an error concerns the manifest. Errors that no retry fixes get a reason of their own.
fn unreadable(file: &Manifest, error: Error) -> SideError {
    let kind = match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::BucketNotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::InvalidArgument
        | ErrorKind::Unsupported => ReasonKind::ManifestUnreadable,
        ErrorKind::Archived => ReasonKind::ManifestArchived,
        _ => {
            let error = error.during(&shown(file));
            return SideError::target(error);
        }
    };
    refused(kind, format!("{} cannot be read: {error}", shown(file)))
}

pub(in crate::engine) fn changed(file: &Manifest) -> SideError {
    let text = format!(
        "{} was changed or removed while it was read; the next start reads it from the beginning",
        shown(file)
    );
    refused(ReasonKind::ManifestUnreadable, text)
}

impl<'a> Reader<'a> {
    /// Checks the file and prepares to read it after `checkpoint`.
    pub(in crate::engine) async fn open(
        store: &'a SharedStore,
        pace: Pace,
        file: &'a Manifest,
        checkpoint: Option<&Key>,
    ) -> std::result::Result<(Self, Option<u64>), ManifestReadError> {
        let begun = checkpoint.map(position).transpose()?;
        let name = file.key.as_bytes();
        let is_text = name
            .len()
            .checked_sub(4)
            .is_some_and(|dot| name[dot..].eq_ignore_ascii_case(b".txt"));
        if !is_text {
            let text = format!("{} must have a name that ends with .txt", shown(file));
            return Err(refused(ReasonKind::ManifestForm, text).into());
        }
        let info = match lookup::head(pace, store, &file.key).await {
            Ok(Some(info)) => info,
            Ok(None) if begun.is_some() => return Err(ManifestReadError::Changed),
            Ok(None) => {
                let text = format!("{} does not exist", shown(file));
                return Err(refused(ReasonKind::ManifestUnreadable, text).into());
            }
            Err(error) => return Err(unreadable(file, error).into()),
        };
        let size = info.require_size().map_err(|error| unreadable(file, error))?;
        let Some(tag) = info.etag else {
            let text = format!("{} has no ETag, so a change would not be noticed", shown(file));
            return Err(refused(ReasonKind::ManifestUnreadable, text).into());
        };
        if let Some((_, pinned)) = &begun
            && !pinned.same(&tag)
        {
            return Err(ManifestReadError::Changed);
        }
        if size > MAX_FILE {
            let text = format!("{} is larger than 1024 MiB", shown(file));
            return Err(refused(ReasonKind::ManifestForm, text).into());
        }
        let header = |name| info.carried.0.get(name).and_then(|value| value.to_str().ok());
        let kind = header("content-type").and_then(|kind| kind.split(';').next());
        if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
            let text = format!("{} must have the Content-Type text/plain", shown(file));
            return Err(refused(ReasonKind::ManifestType, text).into());
        }
        if header("content-encoding").is_some_and(|coding| !coding.trim().is_empty()) {
            let text = format!("{} must have no Content-Encoding", shown(file));
            return Err(refused(ReasonKind::ManifestType, text).into());
        }
        let start = begun.map(|(start, _)| start);
        let at = start.unwrap_or(0);
        let reader = Self {
            store,
            pace,
            file,
            tag,
            size,
            at,
            portion: RANGE,
            lines: Lines::at(at),
        };
        Ok((reader, start))
    }

    /// Length of the file in bytes.
    pub(in crate::engine) const fn size(&self) -> u64 {
        self.size
    }

    /// The position in a checkpoint.
    ///
    /// # Errors
    /// An internal error if the checkpoint is no position.
    pub(in crate::engine) fn line_start(checkpoint: &Key) -> SideResult<u64> {
        position(checkpoint).map(|(start, _)| start)
    }

    /// The checkpoint of the first line that begins behind `offset`; `None` if there is none. It is looked for with requests of
    /// `portion` bytes.
    pub(in crate::engine) async fn line_after(
        &self,
        offset: u64,
        portion: u64,
    ) -> std::result::Result<Option<Key>, ManifestReadError> {
        let mut reader = Self {
            tag: self.tag.clone(),
            at: offset,
            portion,
            lines: Lines::at(offset),
            ..*self
        };
        while let Some(line) = reader.next().await? {
            // What is read first may be the rest of a line that begins before.
            if line.start > offset {
                return Ok(Some(reader.checkpoint(&line)));
            }
        }
        Ok(None)
    }

    /// Whether checkpoints after this one ascend like their bytes. Earlier versions wrote positions of any length.
    pub(in crate::engine) fn ascends(checkpoint: &Key) -> bool {
        checkpoint.as_bytes().iter().position(|byte| *byte == b' ') == Some(DIGITS)
    }

    /// Whether a checkpoint is a position in a list.
    pub(in crate::engine) fn is_position(checkpoint: &Key) -> bool {
        position(checkpoint).is_ok()
    }

    /// The next line; `None` at the end of the file.
    pub(in crate::engine) async fn next(
        &mut self,
    ) -> std::result::Result<Option<manifest_lines::Line>, ManifestReadError> {
        loop {
            let found = match self.lines.next_line() {
                Ok(None) if self.at >= self.size => {
                    return self.lines.last_line().map_err(|e| self.too_long(e));
                }
                found => found.map_err(|e| self.too_long(e))?,
            };
            if found.is_some() {
                return Ok(found);
            }
            let piece = self.piece().await?;
            self.at += piece.len() as u64;
            self.lines.push(&piece);
        }
    }

    fn too_long(&self, line: manifest_lines::TooLong) -> ManifestReadError {
        let text = format!(
            "{}: the line at byte {} is longer than {MAX_LINE} bytes",
            shown(self.file),
            line.start
        );
        refused(ReasonKind::ManifestLineTooLong, text).into()
    }

    async fn piece(&self) -> std::result::Result<Vec<u8>, ManifestReadError> {
        retry::run(self.pace, || self.piece_once())
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::PreconditionFailed | ErrorKind::NotFound => ManifestReadError::Changed,
                _ => unreadable(self.file, error).into(),
            })
    }

    async fn piece_once(&self) -> Result<Vec<u8>> {
        let length = self.portion.min(self.size - self.at);
        let portion = ByteRange::Range {
            offset: self.at,
            length,
        };
        let mut object = self.store.get(&self.file.key, portion, Some(&self.tag)).await?;
        let mut piece = Vec::new();
        while let Some(frame) = object.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                piece.extend_from_slice(&data);
            }
        }
        if piece.len() as u64 == length {
            Ok(piece)
        } else {
            let text = "a range of the list file has another length than requested";
            Err(Error::new(ErrorKind::Integrity, text))
        }
    }

    /// The checkpoint for a settled line.
    pub(in crate::engine) fn checkpoint(&self, line: &manifest_lines::Line) -> Key {
        self.checkpoint_at(line.start)
    }

    /// The checkpoint for a list of which all lines are settled.
    pub(in crate::engine) fn checkpoint_at_end(&self) -> Key {
        self.checkpoint_at(self.size)
    }

    fn checkpoint_at(&self, position: u64) -> Key {
        Key::from(format!("{position:0DIGITS$} {}", self.tag.as_str()).as_str())
    }
}

/// Position and ETag in a checkpoint.
fn position(checkpoint: &Key) -> SideResult<(u64, ETag)> {
    let text = checkpoint.lossy();
    let parts = text
        .split_once(' ')
        .and_then(|(start, tag)| Some((start.parse().ok()?, ETag::new(&format!("\"{tag}\"")))));
    parts.ok_or_else(|| SideError::target(Error::internal("the checkpoint of a list is invalid")))
}

/// The object name in a line; `None` if a recent line had it already. The URL of a name is remembered.
fn take(
    ctx: &Context,
    file: &Manifest,
    line: &manifest_lines::Line,
    seen: &mut Recent<()>,
) -> SideResult<Option<Key>> {
    if !matches!(ctx.task.spec.scope, Scope::Urls(_)) {
        let name = manifest_lines::name(&line.text);
        let fresh = seen.get(&name).is_none();
        seen.add(name.clone(), ());
        return Ok(fresh.then_some(name));
    }
    let (url, name) = manifest_lines::url_and_name(&line.text).map_err(|bad| {
        let why = match bad {
            manifest_lines::BadLine::Form => "is not URL<TAB>object name",
            manifest_lines::BadLine::Url => "has a URL that is not encoded, or is too long",
        };
        let text = format!("{}: the line at byte {} {why}", shown(file), line.start);
        refused(ReasonKind::ManifestLine, text)
    })?;
    if seen.get(&name).is_some() {
        if ctx.addresses.get(&name).as_deref() == Some(url) {
            return Ok(None);
        }
        let text = format!(
            "{}: the line at byte {} has the same name as an earlier line, but another URL",
            shown(file),
            line.start
        );
        return Err(refused(ReasonKind::ManifestLine, text));
    }
    seen.add(name.clone(), ());
    ctx.addresses.add(name.clone(), url);
    Ok(Some(name))
}

/// Feeds every object of the list after the checkpoint.
pub(in crate::engine) async fn feed_list(
    ctx: &Context,
    file: &Manifest,
    shard: &LeasedShard,
    range: &Range,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    match feed_lines(ctx, file, shard, range, sender).await {
        Ok(()) => Ok(()),
        Err(ManifestReadError::PassError(pass_error)) => Err(pass_error),
        Err(ManifestReadError::Changed) => {
            // What the old file settled does not count any more. The next lease resets the shard and reads the new file
            // from the beginning. The leases of other shards end with this.
            ctx.end_reason.get_or_init(|| changed(file).reason());
            match ctx.ledger.set_unordered(ctx.task.id, shard).await {
                Ok(Unordered::Marked | Unordered::Rejoined) => Err(changed(file).into()),
                Ok(Unordered::Fenced) => Err(PassError::Fenced),
                Err(error) => Err(PassError::Ledger(error)),
            }
        }
    }
}

async fn feed_lines(
    ctx: &Context,
    file: &Manifest,
    shard: &LeasedShard,
    range: &Range,
    sender: &Sender,
) -> std::result::Result<(), ManifestReadError> {
    let store = list_store(ctx)?;
    let pace = ctx.tuning.pace;
    // The end of a shard without a checkpoint shows for which version of the file it was cut.
    if let (None, Some(until)) = (&shard.checkpoint, &shard.until) {
        Reader::open(store, pace, file, Some(until)).await?;
    }
    let (mut reader, settled) = Reader::open(store, pace, file, shard.checkpoint.as_ref()).await?;
    let mut seen = Recent::default();
    let mut empty = true;
    let mut wanted = Vec::with_capacity(KEYS_PER_BATCH);
    loop {
        let line = reader.next().await?;
        let ended = line.is_none();
        if let Some(line) = line {
            empty = false;
            // The line of the checkpoint is read again only for its name, because the next line may repeat it. The same holds for
            // the line after which a shard begins.
            if let Some(key) = take(ctx, file, &line, &mut seen)?
                && settled != Some(line.start)
            {
                wanted.push(Wanted {
                    key,
                    prior_count: PriorCount::default(),
                    position: Some(reader.checkpoint(&line)),
                });
            }
        }
        let mut page = Page::GoesOn;
        if wanted.len() == KEYS_PER_BATCH || (ended && !wanted.is_empty()) {
            let positions: Vec<&Key> = wanted
                .iter()
                .filter_map(|wanted| wanted.position.as_ref())
                .collect();
            let inside;
            (inside, page) = range.admit(&positions, Orders::BYTES).await;
            wanted.truncate(inside);
            let candidates = look_up(ctx, std::mem::take(&mut wanted)).await?;
            let batch = Batch::resumable(candidates);
            ctx.sync_points.reach(SyncPoint::PageJoined).await;
            if sender.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        if ended && empty {
            return Err(refused(ReasonKind::ManifestEmpty, format!("{} is empty", shown(file))).into());
        }
        if page != Page::GoesOn {
            return Ok(());
        }
        if ended {
            range.finish().await;
            return Ok(());
        }
    }
}

pub(in crate::engine) fn list_store(ctx: &Context) -> SideResult<&SharedStore> {
    ctx.lists
        .as_ref()
        .ok_or_else(|| SideError::target(Error::internal("a list has no store to be read from")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back() {
        for tag in ["0cc175b9c0f1b6a831c399e269772661", "a b", "W/x"] {
            let found = position(&Key::from(format!("17 {tag}").as_str())).unwrap();
            assert_eq!((found.0, found.1.as_str()), (17, tag));
        }
        assert!(position(&Key::from("nonsense")).is_err());
    }
}

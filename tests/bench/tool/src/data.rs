//! The objects of the benchmarks: their keys, and their bytes.
//!
//! Each object is one block of 1 MiB, repeated and cut to its size. So a store needs no memory for bodies, and it recognises
//! by comparison what it receives: hashing costs many times more than a copier does, and would hide it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use md5::{Digest as _, Md5};

/// Length of the block.
const BLOCK: usize = 1 << 20;
/// Bodies of other content are kept up to this size, for probes and reports. Larger ones are dropped.
const KEPT: usize = 1 << 16;

/// An MD5 hash.
pub type Hash = [u8; 16];

/// A position in bytes that are in memory.
pub fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The key of an object. The keys form a tree as people make them: by date, by hash, by user, and a tenth in the root. No
/// folder's name begins like a file's, so stores that sort by folder and stores that sort by byte list in one order.
pub fn key(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match number % 10 {
        0..=3 => {
            let (month, day) = (number / 10 % 12 + 1, number / 120 % 28 + 1);
            format!("days/{month:02}/{day:02}/n{number:09}.log")
        }
        4..=6 => format!("hash/{:02x}/{:02x}/n{number:09}.bin", mixed & 15, mixed >> 4 & 15),
        7 | 8 => format!("user/{:03}/n{number:09}.txt", mixed % 400),
        _ => format!("n{number:09}"),
    }
}

/// Whether a store hashes what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Only what it does not recognise.
    Unknown,
    /// Everything, as real stores do.
    Everything,
}

/// Where the bytes of an object are.
#[derive(Clone, Debug)]
pub enum Body {
    /// They are the block, repeated.
    Known,
    /// Here.
    Kept(Bytes),
    /// Nowhere: only the hash is left.
    Dropped,
}

/// The block, and hashes of beginnings of its repetition.
pub struct Block {
    bytes: Bytes,
    hashes: Mutex<HashMap<u64, Arc<OnceLock<Hash>>>>,
}

/// A body that was received.
pub struct Received {
    /// Its length.
    pub size: u64,
    /// Its hash.
    pub hash: Hash,
    /// Its bytes.
    pub body: Body,
}

/// Receives one body.
pub struct Receiver<'a> {
    block: &'a Block,
    size: u64,
    known: bool,
    hash: Option<Md5>,
    kept: Vec<u8>,
}

impl Default for Block {
    fn default() -> Self {
        let mut state = 0x853c_49e6_748f_ea9b_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let bytes: Vec<u8> = words.take(BLOCK / 8).flatten().collect();
        Self {
            bytes: bytes.into(),
            hashes: Mutex::default(),
        }
    }
}

impl Block {
    /// The bytes of a range, without a copy.
    pub fn pieces(&self, from: u64, length: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
        let (bytes, end, mut at) = (self.bytes.clone(), from + length, from);
        std::iter::from_fn(move || {
            let begin = index(at % BLOCK as u64);
            let count = (end - at).min((BLOCK - begin) as u64);
            at += count;
            (count > 0).then(|| bytes.slice(begin..begin + index(count)))
        })
    }

    /// The hash of the first `size` bytes.
    pub fn hash(&self, size: u64) -> Hash {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = hashes.entry(size).or_default().clone();
        drop(hashes);
        // Computed once, although many may wait for it.
        *hash.get_or_init(|| self.hasher(size).finalize().into())
    }

    fn hasher(&self, size: u64) -> Md5 {
        let mut hasher = Md5::new();
        self.pieces(0, size).for_each(|piece| hasher.update(&piece));
        hasher
    }

    /// Begins to receive a body.
    pub fn receiver(&self, hashing: Hashing) -> Receiver<'_> {
        Receiver {
            block: self,
            size: 0,
            known: true,
            hash: (hashing == Hashing::Everything).then(Md5::new),
            kept: Vec::new(),
        }
    }
}

impl Receiver<'_> {
    /// Receives the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.known && !self.matches(bytes) {
            self.known = false;
            self.hash.get_or_insert_with(|| self.block.hasher(self.size));
            if self.size <= KEPT as u64 {
                self.kept = self.block.bytes[..index(self.size)].to_vec();
            }
        }
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        if !self.known && self.size + bytes.len() as u64 <= KEPT as u64 {
            self.kept.extend_from_slice(bytes);
        }
        self.size += bytes.len() as u64;
    }

    fn matches(&self, mut bytes: &[u8]) -> bool {
        self.block.pieces(self.size, bytes.len() as u64).all(|piece| {
            let (now, rest) = bytes.split_at(piece.len());
            bytes = rest;
            now == piece
        })
    }

    /// The whole body.
    pub fn finish(self) -> Received {
        let hash = match self.hash {
            Some(hash) => hash.finalize().into(),
            None => self.block.hash(self.size),
        };
        let body = match self.known {
            true => Body::Known,
            false if self.size <= KEPT as u64 => Body::Kept(self.kept.into()),
            false => Body::Dropped,
        };
        Received {
            size: self.size,
            hash,
            body,
        }
    }
}

/// Whether parts of these sizes, each of known bytes, are known bytes together.
pub fn joins(sizes: impl IntoIterator<Item = u64>) -> bool {
    let mut before = 0;
    sizes.into_iter().all(|size| {
        let aligned = before % BLOCK as u64 == 0;
        before += size;
        aligned
    })
}

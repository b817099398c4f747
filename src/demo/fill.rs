//! The demo's source: a few thousand objects of mixed sizes, some large, some with awkward keys and headers.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::sandbox::{Sandbox, SandboxObject};

const MIB: usize = 1 << 20;

/// Keys that other tools lose, rename or refuse.
const AWKWARD: &[&str] = &[
    "awkward//double slash",
    "awkward/./dot",
    "awkward/../two dots",
    "awkward/trailing slash/",
    "/awkward leading slash",
    "awkward/a+b %20 & = ? # \"quotes\" <tag>",
    "awkward/日本語/ключ/🦀",
    "awkward/e\u{301} and \u{e9}",
    "awkward/control\u{1}\u{1f}",
    "awkward/a",
    "awkward/a!",
    "awkward/a/1",
];

/// Fills the bucket with the same data every time; returns the number of objects and bytes.
pub fn fill(source: &Sandbox, bucket: &str) -> (u64, u64) {
    let mut random = SmallRng::seed_from_u64(20);
    let (mut objects, mut total) = (0, 0);
    let mut put = |key: &str, object: SandboxObject| {
        objects += 1;
        total += object.data.len() as u64;
        source.put(bucket, key, object);
    };
    for n in 0..2500 {
        let size = random.random_range(0..24 * 1024);
        put(
            &format!("{:04}/{:02}/note-{n:05}.txt", 2010 + n % 16, n % 12 + 1),
            described(&mut random, size, n),
        );
    }
    for n in 0..80 {
        let size = random.random_range(MIB / 4..2 * MIB);
        put(&format!("albums/{n:03}.jpg"), described(&mut random, size, n));
    }
    for (n, key) in AWKWARD.iter().enumerate() {
        let mut object = described(&mut random, 1000 + n, n);
        object.tags = vec![("team".to_owned(), "blue & green".to_owned())];
        put(key, object);
    }
    // Larger than the multipart threshold: one is uploaded in one piece, one in parts.
    put(
        "films/one piece.mov",
        SandboxObject::new(noise(&mut random, 72 * MIB)),
    );
    put(
        "films/in parts.mov",
        SandboxObject::multipart(noise(&mut random, 80 * MIB), 8 << 20),
    );
    (objects, total)
}

fn described(random: &mut SmallRng, size: usize, n: usize) -> SandboxObject {
    let mut object = SandboxObject::new(noise(random, size));
    object.content_type = Some(["text/plain", "image/jpeg", "application/x-demo"][n % 3].to_owned());
    object.metadata.insert("number".to_owned(), n.to_string());
    if n.is_multiple_of(5) {
        object.cache_control = Some("max-age=60".to_owned());
        object.content_language = Some("de, en".to_owned());
        object.content_disposition = Some("attachment; filename=\"n.txt\"".to_owned());
        object.metadata.insert("owner".to_owned(), "Zoë Ø 李".to_owned());
    }
    object
}

fn noise(random: &mut SmallRng, size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    random.fill_bytes(&mut bytes);
    bytes.into()
}

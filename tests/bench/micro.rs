//! What `oms` does for every object or page, without any store: `cargo bench --bench micro`, or `-- sign` for one of them.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use oms::engine::decide::{Existing, SkipReason, decide};
use oms::engine::outcome::Outcome;
use oms::engine::shard::prior_count::PriorCount;
use oms::engine::shard::window::Window;
use oms::engine::source_object::SourceObject;
use oms::object::s3::bench::Signing;
use oms::object::s3::fuzz::read_listing;
use oms::object::{ETag, Entry};
use oms::secret::{Credentials, Secret};
use oms::task::spec::{Addressing, BucketLocation, Cloud, Endpoint, EndpointOrigin, Payer, Scope};
use oms::task::{Clock, CopyRules, Key, PassKind, TaskSpec, UnixMillis};

/// Entries of a page.
const PAGE: u64 = 1000;
/// Objects in flight in a window.
const IN_FLIGHT: usize = 200;
/// What a network delivers at a time.
const FRAME: usize = 16 << 10;
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

fn key(number: u64) -> String {
    format!("photos/2026/{:02}/n{number:08}.jpg", number % 12 + 1)
}

/// One write of a small object.
fn sign(c: &mut Criterion) {
    let keys = Credentials {
        access_key: Secret::new("AKIAIOSFODNN7EXAMPLE"),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    };
    let signing = Signing::new(&keys, "us-east-1", Clock::new(|| NOW));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (HOST, "bucket.s3.eu-west-1.amazonaws.com"),
        (CONTENT_TYPE, "image/jpeg"),
        (HeaderName::from_static("content-md5"), "DMF1ucDxtqgxw5niaXcmYQ=="),
        (HeaderName::from_static("x-amz-meta-camera"), "k-1000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let url = format!("https://bucket.s3.eu-west-1.amazonaws.com/{}", key(7));
    c.bench_function("sign one request", |b| {
        b.iter_batched_ref(
            || headers.clone(),
            |headers| signing.sign("PUT", black_box(&url), headers),
            BatchSize::SmallInput,
        );
    });
}

/// A page as S3 writes it.
fn page() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>bucket</Name><Prefix></Prefix><NextContinuationToken>next</NextContinuationToken><KeyCount>1000</KeyCount>\
         <MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>",
    );
    for number in 0..PAGE {
        let key = key(number);
        let entry = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2026-11-01T10:00:00.000Z</LastModified><ETag>&quot;{MD5}&quot;</ETag>\
             <Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
        entry.unwrap_or_default();
    }
    text + "</ListBucketResult>"
}

fn listing(c: &mut Criterion) {
    let text = page();
    let lines = read_listing(text.as_bytes(), FRAME).map(|page| page.lines.len());
    assert_eq!(lines.ok(), Some(1000), "the page is read whole");
    let mut group = c.benchmark_group("listing");
    group.throughput(Throughput::Elements(PAGE));
    group.bench_function("parse a page of 1,000 entries", |b| {
        b.iter(|| read_listing(black_box(text.as_bytes()), FRAME));
    });
    group.finish();
}

fn place(bucket: &str) -> BucketLocation {
    BucketLocation {
        cloud: Cloud::Aws,
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        endpoint: Endpoint {
            url: "http://127.0.0.1:1".to_owned(),
            addressing: Addressing::Path,
            origin: EndpointOrigin::Request,
        },
        app_id: None,
        payer: Payer::Owner,
    }
}

fn spec() -> TaskSpec {
    TaskSpec {
        source: place("source"),
        target: place("target"),
        target_prefix: Key::from(""),
        scope: Scope::Prefixes(vec![Key::from("")]),
        description: String::new(),
        threads: 50,
        kms: false,
        migrate_since: None,
        restore: false,
        record_failures: true,
        record_settled: false,
        cdn: None,
        notification: None,
        rules: CopyRules::default(),
    }
}

/// An object that the target has, once with the same ETag and once with the ETag of an upload in parts.
fn decisions(c: &mut Criterion) {
    let spec = spec();
    let source = SourceObject::KnownSize(Entry {
        key: Key::from(key(7).as_str()),
        size: 4096,
        etag: Some(ETag::new(MD5)),
        last_modified: Some(NOW),
    });
    let target = |etag: &str| Existing {
        size: 4096,
        etag: Some(ETag::new(etag)),
        last_modified: Some(NOW),
    };
    let (same, parts) = (target(MD5), target(&format!("{MD5}-2")));
    let mut group = c.benchmark_group("decide");
    group.bench_function("same ETag", |b| {
        b.iter(|| decide(black_box(&source), Some(black_box(&same)), &spec));
    });
    group.bench_function("other kind of ETag", |b| {
        b.iter(|| decide(black_box(&source), Some(black_box(&parts)), &spec));
    });
    group.bench_function("not at the target", |b| {
        b.iter(|| decide(black_box(&source), None, &spec));
    });
    group.finish();
}

/// A page of objects goes through a window: it is filled, and objects are settled behind their neighbours, as copies end.
fn window(c: &mut Criterion) {
    let keys: Vec<Key> = (0..PAGE).map(|number| Key::from(key(number).as_str())).collect();
    let mut group = c.benchmark_group("window");
    group.throughput(Throughput::Elements(PAGE));
    group.bench_function("1,000 objects, 200 in flight", |b| {
        b.iter_batched(
            || (Window::new(PassKind::Full, None), keys.clone()),
            |(mut window, keys)| {
                let mut open = Vec::with_capacity(IN_FLIGHT);
                for (index, key) in keys.into_iter().enumerate() {
                    open.push(window.push_at(key, None, 4096, PriorCount::default()));
                    if open.len() == IN_FLIGHT {
                        let number = open.swap_remove(index * 7919 % IN_FLIGHT);
                        window.settle(number, Outcome::Skipped(SkipReason::Identical));
                    }
                }
                for number in open {
                    window.settle(number, Outcome::Skipped(SkipReason::Identical));
                }
                (window.take(), window)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, sign, listing, decisions, window);
criterion_main!(benches);

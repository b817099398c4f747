//! Properties that must hold for any bytes. The fuzz targets search for bytes that break them. The property tests of the
//! parent module check them with generated input.

use std::fmt::Write as _;

use oms::api::v1::fuzz::{read_create, read_update};
use oms::config::{Config, Database, Flags, Role};
use oms::engine::listing::manifest_lines::{Lines, MAX_LINE, MAX_URL, TooLong, name, url_and_name};
use oms::error::Error;
use oms::object::EntryFacts;
use oms::object::s3::UrlEncoding;
use oms::object::s3::fuzz::{Page, address, read_listing, url_decode};
use oms::task::spec::{Addressing, Endpoint, EndpointOrigin};
use oms::task::{Key, TaskSpec};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// A value that no error message may repeat.
pub const CANARY: &str = "canary-4f9d";

/// A listing is read completely or refused. It never has more objects than its text. The result does not depend on the
/// pieces in which it arrives, and does not change when it is written and read again.
pub fn listing(data: &[u8]) {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let whole = read_listing(text, usize::MAX);
    let piece = usize::from(*first) + 1;
    let pieces = read_listing(text, piece);
    let Ok(page) = whole else {
        assert!(pieces.is_err(), "in pieces of {piece} it is read");
        return;
    };
    assert_eq!(pieces.unwrap(), page, "in pieces of {piece} it is another page");
    let entries = count(text, b"<Contents") + count(text, b":Contents");
    assert!(page.lines.len() <= entries, "{} of {entries}", page.lines.len());
    assert!(page.lines.iter().all(|(key, _)| !key.is_empty()));
    if let Some(written) = written(&page) {
        assert_eq!(read_listing(written.as_bytes(), piece).unwrap(), page);
    }
    // A listing cannot end before this tag. A shorter text was cut off.
    if let Some(end) = find(text, b"</ListBucketResult") {
        for part in 0..8 {
            assert!(
                read_listing(&text[..end * part / 8], piece).is_err(),
                "a part passes for the whole"
            );
        }
    }
    let more = [text, b"<Contents/>"].concat();
    assert!(
        read_listing(&more, piece).is_err(),
        "there is more behind its end"
    );
}

/// The page in the simplest form. `None` for pages that cannot be written again, and for a time at the end of the range,
/// which the time library does not support.
fn written(page: &Page) -> Option<String> {
    let facts = &page.facts;
    if facts.version_1 || facts.max_keys.is_some() {
        return None;
    }
    let mut text = "<ListBucketResult>".to_owned();
    if page.encoded {
        text.push_str("<EncodingType>url</EncodingType>");
    }
    if let Some(truncated) = facts.truncated {
        write!(text, "<IsTruncated>{truncated}</IsTruncated>").unwrap();
    }
    for (key, facts) in &page.lines {
        write!(text, "<Contents><Key>{}</Key>", escaped(key)).unwrap();
        match facts {
            EntryFacts::Object {
                size,
                etag,
                last_modified,
            } => {
                write!(text, "<Size>{size}</Size>").unwrap();
                if let Some(modified) = last_modified {
                    let time = jiff::Timestamp::from_millisecond(modified.0).ok()?;
                    write!(text, "<LastModified>{time}</LastModified>").unwrap();
                }
                if let Some(tag) = etag {
                    write!(text, "<ETag>&quot;{}&quot;</ETag>", escaped(tag.as_str())).unwrap();
                }
            }
            EntryFacts::Nothing => {}
            EntryFacts::KeyTooLong { .. } => return None,
        }
        text.push_str("</Contents>");
    }
    for _ in 0..facts.common_prefixes {
        text.push_str("<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes>");
    }
    if let Some(count) = facts.key_count {
        write!(text, "<KeyCount>{count}</KeyCount>").unwrap();
    }
    if let Some(token) = &facts.token {
        let token = escaped(token);
        write!(text, "<NextContinuationToken>{token}</NextContinuationToken>").unwrap();
    }
    if let Some(marker) = &facts.marker {
        write!(text, "<NextMarker>{}</NextMarker>", escaped(marker)).unwrap();
    }
    Some(text + "</ListBucketResult>")
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_alphanumeric() || u32::from(c) == 0 {
            text.push(c);
        } else {
            write!(text, "&#x{:x};", u32::from(c)).unwrap();
        }
        text
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

fn count(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).filter(|part| *part == what).count()
}

/// A key of any bytes is read back unchanged from its URL, from a listing and from a manifest.
pub fn key(data: &[u8]) {
    let data = &data[..data.len().min(Key::MAX_LEN)];
    let key = Key::from(data);
    for addressing in [Addressing::Path, Addressing::VirtualHost] {
        let endpoint = Endpoint {
            url: "https://store.example:9000".to_owned(),
            addressing,
            origin: EndpointOrigin::Request,
        };
        let base = match addressing {
            Addressing::Path => "https://store.example:9000/bucket/",
            Addressing::VirtualHost => "https://bucket.store.example:9000/",
        };
        let found = address(&endpoint, "bucket", &key);
        if data.is_empty() {
            assert!(found.is_err(), "the address of no key is that of the bucket");
            continue;
        }
        let found = found.unwrap();
        let path = found.strip_prefix(base).unwrap();
        assert!(
            path.bytes()
                .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#')
        );
        assert_eq!(percent_decode_str(path).collect::<Vec<u8>>(), data);
        assert_eq!(count(path.as_bytes(), b"/"), count(data, b"/"));
    }
    if data.is_empty() {
        return;
    }
    let encoded = percent_encode(data, NON_ALPHANUMERIC).to_string();
    // The encoding of HTML forms.
    let form = encoded.replace("%20", "+");
    for (text, encoding) in [
        (&encoded, UrlEncoding::Form),
        (&encoded, UrlEncoding::Path),
        (&form, UrlEncoding::Form),
    ] {
        assert_eq!(url_decode(text, encoding).as_deref(), Some(data), "{text}");
    }
    assert_eq!(name(encoded.as_bytes()), key);
}

/// A body is accepted, or refused with a code and a message that names a field and no value. The layout of the JSON does
/// not matter.
pub fn wire(data: &[u8]) {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let read = |text: &[u8]| {
        if first % 2 == 0 {
            read_create(text).map(|order| {
                assert!(order.threads <= TaskSpec::MAX_THREADS);
                assert!(order.description.chars().count() <= TaskSpec::MAX_DESCRIPTION);
                format!("{order:?}")
            })
        } else {
            read_update(text)
        }
    };
    let outcome = read(text);
    let json = serde_json::from_slice::<serde_json::Value>(text).ok();
    match &outcome {
        Ok(shown) => assert!(!shown.contains("secret-value"), "a key is shown: {shown}"),
        Err(error) => refused(error, json.as_ref()),
    }
    // A duplicate field is refused. The parsed value no longer shows the duplicate.
    let twice = outcome
        .as_ref()
        .err()
        .is_some_and(|error| error.code() == Some("OMS.0067"));
    if let (Some(json), false) = (json, twice) {
        let laid_out = serde_json::to_vec_pretty(&json).unwrap();
        let again = read(&laid_out).map_err(|error| error.to_string());
        // If the body has several mistakes, the reported one may depend on the order of the fields.
        assert_eq!(again.is_ok(), outcome.is_ok(), "{again:?} {outcome:?}");
    }
}

/// Fields of the bodies. Errors name nested fields with their path.
const FIELDS: [&str; 22] = [
    "auto_restore",
    "bandwidth_policy",
    "consistency_check",
    "description",
    "dst_node",
    "enableKMS",
    "enable_failed_object_recording",
    "migrate_since",
    "migration_failed_object",
    "minimum_proof",
    "object_overwrite_mode",
    "operation",
    "smnInfo",
    "source_ak",
    "source_cdn",
    "source_cdn_authentication_key",
    "source_sk",
    "src_node",
    "target_ak",
    "target_sk",
    "task_type",
    "thread_num",
];

/// Other beginnings of error messages for bodies.
const OTHERS: [&str; 4] = ["the body", "(a field)", "the CDN", "exactly one"];

fn refused(error: &Error, json: Option<&serde_json::Value>) {
    let (code, text) = (error.code().unwrap_or_default(), error.message());
    let digits = code.strip_prefix("OMS.").unwrap_or_default();
    assert!(
        digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()),
        "{error}"
    );
    assert!(!text.is_empty() && !text.contains('\n'), "{error}");
    let names = json.map(names).unwrap_or_default();
    if !names.iter().any(|name| name.contains(CANARY)) {
        assert!(!text.contains(CANARY), "a value is repeated: {error}");
    }
    // An unknown field must be in the body.
    let first = text.split([' ', '.', '[', ':']).next().unwrap_or_default();
    let field = FIELDS.contains(&first) || names.contains(&first);
    assert!(
        field || OTHERS.iter().any(|other| text.starts_with(other)),
        "it names no field: {error}"
    );
}

/// All field names in a value.
fn names(json: &serde_json::Value) -> Vec<&str> {
    match json {
        serde_json::Value::Array(items) => items.iter().flat_map(names).collect(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(names(value)))
            .collect(),
        _ => Vec::new(),
    }
}

type Found = Result<Vec<(u64, Vec<u8>)>, TooLong>;

fn cut(text: &[u8], position: u64, pieces: usize) -> Found {
    let mut lines = Lines::at(position);
    let mut found = Vec::new();
    for piece in text.chunks(pieces) {
        lines.push(piece);
        while let Some(line) = lines.next_line()? {
            found.push((line.start, line.text));
        }
    }
    found.extend(lines.last_line()?.map(|line| (line.start, line.text)));
    Ok(found)
}

/// The lines of a manifest do not depend on the pieces in which it arrives, or on where reading is resumed. The content of
/// a line does not change when it is written and read again.
pub fn lines(data: &[u8]) {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let whole = cut(text, 0, text.len().max(1));
    assert_eq!(cut(text, 0, usize::from(*first).max(1)), whole);
    let Ok(whole) = whole else { return };
    for (number, (start, line)) in whole.iter().enumerate() {
        assert!(!line.is_empty() && line.len() <= MAX_LINE && !line.contains(&b'\n'));
        assert!(number == 0 || whole[number - 1].0 < *start);
        let at = usize::try_from(*start).unwrap();
        let rest = &text[at..];
        let marked = at == 0 && rest.get(3..).is_some_and(|rest| rest.starts_with(line));
        assert!(rest.starts_with(line) || marked);
        // A checkpoint is the position of a line.
        assert_eq!(cut(&text[at..], *start, 4096).as_deref(), Ok(&whole[number..]));
        let key = name(line);
        let encoded = percent_encode(key.as_bytes(), NON_ALPHANUMERIC).to_string();
        assert_eq!(name(encoded.as_bytes()), key);
        if let Ok((url, target)) = url_and_name(line) {
            assert!(url.len() <= MAX_URL && url.bytes().all(|b| b.is_ascii_graphic()));
            let encoded = percent_encode(target.as_bytes(), NON_ALPHANUMERIC);
            let again = format!("{url}\t{encoded}");
            assert_eq!(url_and_name(again.as_bytes()), Ok((url, target)));
        }
        // Each line is checked together with all lines after it, so a few lines are enough.
        if number >= 8 {
            break;
        }
    }
}

/// Settings whose values may be shown, because they are no secrets.
const OPEN: [&str; 6] = ["data_dir", "_file", "time_zone", "cloud", "region", "endpoint"];

/// A configuration is accepted, or refused with one line. The line shows no values except those of open settings.
pub fn config(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oms.toml");
    std::fs::write(&file, data).unwrap();
    // This name contains the name of an open setting.
    let text = String::from_utf8_lossy(data).replace("request_endpoints", "");
    let mut names = text
        .lines()
        .map(|line| line.split('=').next().unwrap_or_default());
    let open = OPEN.iter().any(|open| text.contains(open)) || names.any(|name| name.contains(CANARY));
    match Config::load(Role::Serve, Some(&file), Flags::default()) {
        Ok(config) => {
            assert!((1..=64).contains(&config.parallel_tasks));
            assert!((1..=4096).contains(&config.max_requests));
            config.zone().unwrap();
            config.catalogue().unwrap();
            config.projects().unwrap();
            let length = config.token().map_or(16, |token| token.expose().len());
            assert!((16..=4096).contains(&length));
            assert!((2..=3600).contains(&config.lease().as_secs()));
            assert!((1..=128).contains(&config.worker_name().len()));
            assert!(matches!(config.database(), Database::Sqlite) || config.seal_key().is_some());
            assert!(open || !format!("{config:?}").contains(CANARY));
        }
        Err(error) => {
            let message = error.message();
            assert!(!message.is_empty() && !message.contains('\n'), "{error}");
            assert!(open || !message.contains(CANARY), "a value is repeated: {error}");
        }
    }
}

//! The fuzz targets as property tests, with input that is almost valid.

mod bodies;

use bodies::CANARY;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The number of inputs for one property. `PROPTEST_CASES` overrides it.
fn cases(usual: u32) -> Config {
    let set = std::env::var("PROPTEST_CASES")
        .ok()
        .map(|text| text.parse().unwrap());
    Config {
        cases: set.unwrap_or(usual),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Checks a property with `seeds` and with generated input, both unchanged and damaged in a few places.
fn hold(body: fn(&[u8]), usual: u32, seeds: &[&str], made: impl Strategy<Value = Vec<u8>>) {
    for seed in seeds {
        for first in [0, 1] {
            body(&[&[first], seed.as_bytes()].concat());
        }
        body(seed.as_bytes());
    }
    let input = (made, vec(damage(), 0..4)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    });
    TestRunner::new(cases(usual))
        .run(&input, |bytes| {
            body(&bytes);
            Ok(())
        })
        .unwrap();
}

/// A change of a text. The position is a fraction of the text's length.
#[derive(Clone, Debug)]
enum Damage {
    Cut(u16),
    Replace(u16, u8),
    Insert(u16, &'static str),
    Double(u16, u8),
    Remove(u16, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    const PIECES: &[&str] = &[
        "<",
        ">",
        "&",
        "&amp;",
        "&#0;",
        "&#x1;",
        "&lt",
        "%",
        "%zz",
        "+",
        "\"",
        "'",
        "\\",
        "\u{0}",
        "\r\n",
        "\n",
        "\t",
        "\u{feff}",
        "é",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<?x?>",
        "<!DOCTYPE a>",
        "</",
        "/>",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "-1",
        "1e999",
        "99999999999999999999",
        "true",
        "=",
    ];
    prop_oneof![
        1 => any::<u16>().prop_map(Damage::Cut),
        3 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        4 => (any::<u16>(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(at, length)| Damage::Double(at, length)),
        2 => (any::<u16>(), 1..20_u8).prop_map(|(at, length)| Damage::Remove(at, length)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) * bytes.len() / (usize::from(u16::MAX) + 1);
        let range = |at: u16, length: u8| {
            let at = place(at);
            at..(at + usize::from(length)).min(bytes.len())
        };
        match *self {
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Replace(at, byte) => {
                let at = place(at);
                if let Some(there) = bytes.get_mut(at) {
                    *there = byte;
                }
            }
            Self::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.bytes());
            }
            Self::Double(at, length) => {
                let range = range(at, length);
                let twice = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, twice);
            }
            Self::Remove(at, length) => {
                bytes.drain(range(at, length));
            }
        }
    }
}

/// A text after a byte that selects a variant.
fn chosen(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), text).prop_map(|(first, text)| [&[first], text.as_bytes()].concat())
}

const LISTINGS: [&str; 4] = [
    "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    "<?xml version=\"1.0\"?>\n<a:ListBucketResult xmlns:a=\"x\"><a:IsTruncated>true</a:IsTruncated>\
     <a:NextContinuationToken>t+&#32;%20</a:NextContinuationToken></a:ListBucketResult>",
    "<ListBucketResult><Contents><Key>a&amp;b%20+</Key><Size>18446744073709551615</Size>\
     <ETag>W/\"x\"</ETag><LastModified>9999-12-31T23:59:59.999Z</LastModified></Contents>\
     <IsTruncated>false</IsTruncated><EncodingType>url</EncodingType></ListBucketResult> <!-- end -->",
    "<ListBucketResult><Marker/><NextMarker>%FF</NextMarker><EncodingType>url</EncodingType>\
     <IsTruncated>true</IsTruncated></ListBucketResult>",
];

fn listing_text() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "[a-c/.+ ]{1,12}",
        "(%[0-9A-F]{2}|[a-z]|\\+){1,8}",
        "(&amp;|&#x[1-9a-f][0-9a-f]{0,3};|&lt;|é|%25){1,5}",
        "<!\\[CDATA\\[[a-z<&]{0,9}\\]\\]>",
        Just(String::new()),
    ];
    let size = prop_oneof![4 => "[0-9]{1,7}", 1 => "[0-9]{19,21}", 1 => "-?[0-9]?[. ]?"];
    let tag = prop_oneof![
        "&quot;[0-9a-f]{32}(-[0-9]{1,5})?&quot;",
        "W/\"[a-z\" /W]{0,8}",
        "\"?[!-;=?-~]{0,6}\"?"
    ];
    let time = prop_oneof![
        4 => "(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-[0-2][1-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{3})?Z",
        1 => "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,9})?(Z|\\+0[0-9]:00)?",
    ];
    let entry = (
        key.clone(),
        prop::option::weighted(0.95, size),
        prop::option::of(tag),
        prop::option::of(time),
    )
        .prop_map(|(key, size, tag, time)| {
            let field = |name: &str, text: Option<String>| {
                text.map_or(String::new(), |text| format!("<{name}>{text}</{name}>"))
            };
            format!(
                "<Contents><Key>{key}</Key>{}{}{}<StorageClass>STANDARD</StorageClass></Contents>",
                field("LastModified", time),
                field("ETag", tag),
                field("Size", size)
            )
        });
    let truth = prop_oneof![8 => "true|false", 1 => " ?(true|false|1|yes|TRUE) ?"];
    let piece = prop_oneof![
        8 => entry,
        2 => truth.clone().prop_map(|truth| format!("<IsTruncated>{truth}</IsTruncated>")),
        2 => Just("<EncodingType>url</EncodingType>".to_owned()),
        1 => key.clone().prop_map(|text| format!("<NextContinuationToken>{text}</NextContinuationToken>")),
        1 => key.prop_map(|text| format!("<Marker/><NextMarker>{text}</NextMarker>")),
        1 => Just("<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>".to_owned()),
        1 => Just("<!-- <Contents> -->".to_owned()),
        1 => "[ \r\n\t]{1,3}",
    ];
    (
        vec(piece, 0..8),
        truth,
        prop_oneof![
            Just(""),
            Just("<?xml version=\"1.0\"?>"),
            Just(" \n \n<?xml version='1.0'?>\n")
        ],
    )
        .prop_map(|(pieces, truth, before)| {
            let inner = pieces.concat();
            format!("{before}<ListBucketResult><IsTruncated>{truth}</IsTruncated>{inner}</ListBucketResult>")
        })
}

#[test]
fn listings() {
    hold(bodies::listing, 4_000, &LISTINGS, chosen(listing_text()));
}

#[test]
fn keys() {
    const PIECES: &[&[u8]] = &[
        b"/",
        b"//",
        b".",
        b"..",
        b"%",
        b"%2F",
        b"+",
        b" ",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc3\xa9",
        b"?",
        b"#",
        b"&",
        b"=",
        b"<",
        b"\\",
        b"a",
    ];
    let key = prop_oneof![
        vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat()),
        vec(any::<u8>(), 0..1200),
    ];
    hold(bodies::key, 2_000, &["", "/", "a/../b", "%2F +", "ü\u{1}"], key);
}

/// JSON values of every type, including the canary.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::json!(CANARY)),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        Just(serde_json::Value::Null),
        "[a-z_A-Z0-9/:. é\u{0}-\u{1f}]{0,12}".prop_map(Into::into),
        prop::sample::select(
            &[
                "start",
                "stop",
                "change_bandwidthpolicy",
                "object",
                "prefix",
                "list",
                "url_list",
                "AWS",
                "08:00",
                "24:00",
                "https",
                "http://10.0.0.1:9000",
                "NONE"
            ][..]
        )
        .prop_map(Into::into),
        (0..=200_usize).prop_map(|length| "x".repeat(length).into()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            vec(("[a-z_]{1,8}", inner), 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Paths of fields of the bodies.
const FIELDS: [&str; 36] = [
    "/task_type",
    "/thread_num",
    "/enableKMS",
    "/description",
    "/migrate_since",
    "/auto_restore",
    "/bandwidth_policy",
    "/bandwidth_policy/0",
    "/bandwidth_policy/0/start",
    "/bandwidth_policy/0/end",
    "/bandwidth_policy/0/max_bandwidth",
    "/smnInfo",
    "/source_cdn",
    "/src_node",
    "/src_node/region",
    "/src_node/bucket",
    "/src_node/cloud_type",
    "/src_node/ak",
    "/src_node/sk",
    "/src_node/object_key",
    "/src_node/object_key/path",
    "/src_node/object_key/keys",
    "/src_node/endpoint",
    "/dst_node",
    "/dst_node/region",
    "/dst_node/bucket",
    "/dst_node/sk",
    "/dst_node/object_key",
    "/dst_node/endpoint",
    "/operation",
    "/source_ak",
    "/source_sk",
    "/target_ak",
    "/target_sk",
    "/migration_failed_object",
    "/surplus",
];

const WHOLE: [&str; 4] = [
    r#"{"task_type": "object", "thread_num": 20, "enableKMS": false, "description": "d", "migrate_since": 1700000000,
        "src_node": {"cloud_type": "AWS", "region": "eu-west-1", "bucket": "photos", "ak": "a", "sk": "secret-value",
                     "object_key": {"path": "", "keys": ["2024/", "index.html"]}},
        "dst_node": {"region": "lab", "endpoint": "http://10.0.0.7:9000", "bucket": "b", "ak": "a", "sk": "secret-value",
                     "object_key": "/"},
        "bandwidth_policy": [{"start": "22:00", "end": "05:59", "max_bandwidth": 50000000}]}"#,
    r#"{"operation": "start", "source_ak": "a", "source_sk": "secret-value", "target_ak": "a", "target_sk": "secret-value",
        "migration_failed_object": false}"#,
    r#"{"operation": "stop"}"#,
    r#"{"operation": "change_bandwidthpolicy", "bandwidth_policy": [{"start": "08:00", "end": "19:59", "max_bandwidth": 9999999}]}"#,
];

/// A valid body in which a few fields have other values or are missing.
fn wire_text() -> impl Strategy<Value = String> {
    let change = (
        prop::sample::select(&FIELDS[..]),
        prop::option::weighted(0.8, json_value()),
    );
    (prop::sample::select(&WHOLE[..]), vec(change, 0..4)).prop_map(|(whole, changes)| {
        let mut body: serde_json::Value = serde_json::from_str(whole).unwrap();
        for (path, value) in changes {
            let (above, name) = path.rsplit_once('/').unwrap();
            match (body.pointer_mut(above), value) {
                (Some(serde_json::Value::Object(fields)), Some(value)) => {
                    fields.insert(name.to_owned(), value);
                }
                (Some(serde_json::Value::Object(fields)), None) => {
                    fields.remove(name);
                }
                (Some(serde_json::Value::Array(items)), Some(value)) => items.push(value),
                _ => {}
            }
        }
        body.to_string()
    })
}

#[test]
fn wire_types() {
    hold(bodies::wire, 4_000, &WHOLE, chosen(wire_text()));
}

#[test]
fn list_files() {
    let line = prop_oneof![
        "[a-z/%+ ]{0,20}",
        "(%[0-9A-Fa-f]{2}|[a-z]){0,12}",
        "https?://[a-z.]{1,9}/[!-~]{0,12}\t[a-z%/]{0,9}",
        "[\t\r\u{feff}é]{0,4}",
    ];
    let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just(""), 1 => Just("\n\n")];
    let long = prop_oneof![9 => Just(0_usize), 1 => 65_530..65_545_usize];
    let file = (prop::bool::weighted(0.2), vec((line, end), 0..20), long).prop_map(|(mark, lines, long)| {
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        for (line, end) in lines {
            text += &line;
            text += end;
        }
        text + &"x".repeat(long)
    });
    let seeds = [
        "",
        "\u{feff}a\r\n b \n\nc",
        "https://h/a%20b?c=1\td%2Fe\n",
        "\r\r\n",
    ];
    hold(bodies::lines, 1_500, &seeds, chosen(file));
}

#[test]
fn configurations() {
    let value = prop_oneof![
        Just(format!("'{CANARY}'")),
        Just(format!("['{CANARY}']")),
        Just(format!("\"{CANARY}-long-enough\"")),
        Just(CANARY.to_owned()),
        "-?[0-9]{1,20}",
        "'[A-Za-z/:.0-9 ]{0,20}'",
        Just("'127.0.0.1:9000'".to_owned()),
        Just("['10.0.0.0/8']".to_owned()),
        Just("'Asia/Shanghai'".to_owned()),
        Just("true".to_owned()),
        Just("{a = 1}".to_owned()),
        Just("[]".to_owned()),
    ];
    let setting = prop::sample::select(
        &[
            "listen",
            "data_dir",
            "allow_networks",
            "token",
            "projects",
            "parallel_tasks",
            "max_requests",
            "time_zone",
            "request_endpoints",
            "ca_file",
            "lisen",
            "cloud",
            "region",
            "endpoint",
            "addressing",
        ][..],
    );
    let line = prop_oneof![
        9 => (setting, value).prop_map(|(setting, value)| format!("{setting} = {value}\n")),
        1 => Just("[[regions]]\n".to_owned()),
        1 => Just("[[regions]]\ncloud = 'AWS'\nregion = 'r'\nendpoint = 'http://10.0.0.1'\n".to_owned()),
    ];
    let file = vec(line, 0..5).prop_map(|lines| lines.concat().into_bytes());
    let seeds = [
        "",
        "token = 'canary-4f9d-0123456789'",
        "parallel_tasks = 5\ntoken = \"canary-4f9d",
        "request_endpoints = 'canary-4f9d'",
        "listen = 'canary-4f9d'",
        "allow_networks = ['canary-4f9d']",
        "parallel_tasks = 'canary-4f9d'",
        "projects = ['canary-4f9d ']",
    ];
    hold(bodies::config, 1_000, &seeds, file);
}

#[test]
fn every_body_has_a_target() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let bodies: Vec<String> = read("bodies.rs")
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pub fn ")?
                .split_once('(')
                .map(|(name, _)| name.to_owned())
        })
        .collect();
    let manifest = read("Cargo.toml");
    assert_eq!(bodies.len(), 5);
    for body in &bodies {
        let target = read(&format!("targets/{body}.rs"));
        assert!(
            target.contains(&format!("|data: &[u8]| bodies::{body}(data)")),
            "{body}"
        );
        assert!(
            manifest.contains(&format!("name = \"{body}\"\npath = \"targets/{body}.rs\"")),
            "{body}"
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.join("targets")).unwrap().count(),
        bodies.len()
    );
}

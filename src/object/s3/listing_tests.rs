//! Tests the parser of listings with unusual documents.

use proptest::prelude::*;

use super::*;

fn listed(inner: &str) -> Result<End> {
    let text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</ListBucketResult>"
    );
    read(text.as_bytes())
}

fn keys(end: &End) -> Vec<String> {
    let texts = end.pieces.iter().flat_map(Lines::texts);
    texts.map(str::to_owned).collect()
}

fn one(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
}

const END: &str = "<IsTruncated>false</IsTruncated>";
const URL: &str = "<EncodingType>url</EncodingType>";

#[test]
fn entries_are_read_in_the_form_of_every_store() {
    let mut page = listed(&format!(
            "<Name>b</Name><Prefix/><KeyCount>2</KeyCount><MaxKeys>7</MaxKeys>{END}\n  <Contents><Key>a b</Key>\
             <LastModified>2024-02-29T12:34:56.789Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>12</Size>\
             <Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>\
             <Contents><Size>0</Size><Key>&lt;&amp;&#10;</Key><ETag></ETag><LastModified>2024-01-01T00:00:00+01:00</LastModified></Contents>\
             <Contents><Key>dir/</Key><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><CommonPrefixes/>{URL}"
        ))
        .unwrap();
    assert_eq!(keys(&page), ["a b", "<&\n", "dir/"]);
    let lines = page.pieces.last_mut().unwrap();
    let facts = |size, tag: Option<&str>, time| EntryFacts::Object {
        size,
        etag: tag.map(ETag::new),
        last_modified: Some(UnixMillis(time)),
    };
    assert_eq!(lines.take_facts(0), facts(12, Some("abc"), 1_709_210_096_789));
    assert_eq!(lines.take_facts(1), facts(0, None, 1_704_063_600_000));
    assert_eq!(lines.take_facts(2), EntryFacts::Nothing);
    let wanted = PageFacts {
        truncated: Some(false),
        key_count: Some(2),
        max_keys: Some(7),
        common_prefixes: 1,
        ..PageFacts::default()
    };
    assert_eq!((page.facts, page.declared), (wanted, DeclaredEncoding::Url));
}

#[test]
fn odd_documents_are_read_or_refused() {
    let whole = format!("<ListBucketResult>{}{END}</ListBucketResult>", one("k"));
    let inner = |text: &str| format!("<ListBucketResult>{text}{END}</ListBucketResult>");
    for (name, document, wanted) in [
        (
            "two declarations",
            format!("<?xml version=\"1.0\"?>\n<?xml version=\"1.0\"?>{whole}"),
            Some("k"),
        ),
        ("a byte order mark", format!("\u{feff}{whole}"), Some("k")),
        (
            "white space before it",
            format!(" \n \n<?xml version='1.0'?>\n{whole}"),
            Some("k"),
        ),
        (
            "a document type",
            format!("<!DOCTYPE ListBucketResult>{whole}"),
            Some("k"),
        ),
        (
            "a document type with an address",
            format!("<!DOCTYPE a SYSTEM \"http://h/x.dtd\">{whole}"),
            Some("k"),
        ),
        (
            "a document type with entities",
            format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{whole}"),
            None,
        ),
        (
            "a document type within",
            inner(&format!("<!DOCTYPE a>{}", one("k"))),
            None,
        ),
        (
            "a prefix",
            whole.replace('<', "<s3:").replace("<s3:/", "</s3:"),
            Some("k"),
        ),
        (
            "a surrogate pair",
            inner(&one("&#55357;&#56832;")),
            Some("\u{1F600}"),
        ),
        (
            "a surrogate pair in hexadecimal",
            inner(&one("&#xD83D;&#xDE00;x")),
            Some("\u{1F600}x"),
        ),
        ("half a pair", inner(&one("&#55357;x")), None),
        ("the other half", inner(&one("&#56832;")), None),
        ("two first halves", inner(&one("&#55357;&#55357;&#56832;")), None),
        ("a bare ampersand", inner(&one("A & B")), Some("A & B")),
        (
            "a bare ampersand elsewhere",
            inner(&format!("<Owner>A & B</Owner>{}", one("k"))),
            Some("k"),
        ),
        ("an HTML entity", inner(&one("M&uuml;ller")), None),
        (
            "an HTML entity elsewhere",
            inner(&format!("<Owner>M&uuml;ller</Owner>{}", one("k"))),
            Some("k"),
        ),
        ("escaped twice", inner(&one("a&amp;amp;b")), Some("a&amp;b")),
        ("CDATA", inner(&one("<![CDATA[a<b]]>")), Some("a<b")),
        ("comments", inner(&one("a<!-- x -->b")), Some("ab")),
        (
            "blanks around a size",
            inner("<Contents><Key>k</Key><Size> 1\n</Size></Contents>"),
            Some("k"),
        ),
        ("no size", inner("<Contents><Key>k</Key></Contents>"), Some("k")),
        (
            "an odd time",
            inner("<Contents><Key>k</Key><LastModified>yesterday</LastModified></Contents>"),
            Some("k"),
        ),
        ("no key", inner("<Contents><Size>1</Size></Contents>"), None),
        (
            "an empty key",
            inner("<Contents><Key/><Size>1</Size></Contents>"),
            None,
        ),
        (
            "a size below zero",
            inner("<Contents><Key>k</Key><Size>-1</Size></Contents>"),
            None,
        ),
        (
            "an element in a key",
            inner("<Contents><Key>k<b/></Key><Size>1</Size></Contents>"),
            None,
        ),
        ("another end", whole.replace("</ListB", "</B"), None),
        ("something behind it", format!("{whole}<Contents/>"), None),
        ("another document", "<html><body/></html>".to_owned(), None),
        ("an error", "<Error><Code>x</Code></Error>".to_owned(), None),
        (
            "buckets",
            format!("<ListAllMyBucketsResult>{END}</ListAllMyBucketsResult>"),
            None,
        ),
        ("nothing", String::new(), None),
    ] {
        let found = read(document.as_bytes()).map(|end| keys(&end));
        match wanted {
            Some(key) => assert_eq!(found.unwrap(), [key], "{name}"),
            None => assert!(found.is_err(), "{name}: {found:?}"),
        }
    }
    for cut in 0..whole.len() {
        assert!(read(&whole.as_bytes()[..cut]).is_err(), "{cut}");
    }
    assert!(read(b"\xff<ListBucketResult/>").is_err());
}

/// A document gives the same page, whatever pieces it arrives in.
#[test]
fn a_page_is_read_the_same_in_any_pieces() {
    let entries: String = (0..40)
        .map(|i| one(&format!("é{i}&amp;&#55357;&#56832;<![CDATA[x]]>")))
        .collect();
    let text = format!(
        "<?xml version='1.0'?>\n<!-- a --><ListBucketResult a='>'>{END}\n{entries}<CommonPrefixes/><!-- b -->\
             <NextMarker>m&lt;</NextMarker>{URL}</ListBucketResult>\n<!-- c -->\n"
    );
    let whole = read(text.as_bytes()).unwrap();
    for length in [1, 2, 3, 7, 64, 1000] {
        let mut page = PageReader::default();
        for bytes in text.as_bytes().chunks(length) {
            page.push_and_read(bytes).unwrap();
        }
        let end = page.finish().unwrap();
        assert_eq!(keys(&end), keys(&whole), "{length}");
        assert_eq!(
            (end.facts, end.declared),
            (whole.facts.clone(), whole.declared),
            "{length}"
        );
    }
}

/// 300,000 objects in one page, 60 MiB: memory does not grow with them.
#[test]
fn a_page_of_everything_is_read_with_flat_memory() {
    let mut page = PageReader::default();
    let (mut seen, mut most_held, mut piece) = (0, 0, Vec::new());
    page.push(b"<ListBucketResult><IsTruncated>false</IsTruncated>")
        .unwrap();
    for block in 0..3_000 {
        piece.clear();
        for i in 0..100 {
            let key = format!(
                "a/prefix/of/a/usual/length/{:08}{}",
                block * 100 + i,
                "-".repeat(100)
            );
            piece.extend_from_slice(one(&key).as_bytes());
        }
        for bytes in piece.chunks(PageReader::MOST) {
            page.push(bytes).unwrap();
            while let Some(lines) = page.take_full() {
                seen += lines.len();
                assert!(lines.len() <= PAGE_SIZE as usize);
            }
            let held = page.buffer.capacity() + page.lines.text.capacity() + page.full.capacity();
            most_held = most_held.max(held);
        }
    }
    page.push(b"</ListBucketResult>").unwrap();
    seen += page
        .finish()
        .unwrap()
        .pieces
        .iter()
        .map(Lines::len)
        .sum::<usize>();
    assert_eq!(seen, 300_000);
    assert!(most_held < 2 << 20, "{most_held} bytes");
}

#[test]
fn what_has_no_end_is_refused_before_it_is_held() {
    for (name, begin, more) in [
        ("a key", "<ListBucketResult><Contents><Key>", "k"),
        ("a comment", "<ListBucketResult><!--", " "),
        ("an attribute", "<ListBucketResult a='", "k"),
        ("nesting", "<ListBucketResult>", "<a>"),
        ("a declaration", "<?xml ", "k"),
        ("a document type", "<!DOCTYPE a ", "k"),
    ] {
        let mut page = PageReader::default();
        page.push(begin.as_bytes()).unwrap();
        let more = more.repeat(4096);
        let pushed = (0..1000).find(|_| page.push(more.as_bytes()).is_err());
        assert!(
            pushed.is_some_and(|pushed| pushed * 4096 < 512 << 10),
            "{name}: {pushed:?}"
        );
    }
}

#[test]
fn of_an_overlong_key_only_the_beginning_is_kept() {
    let long = "é".repeat(10_000);
    let mut page = listed(&format!("{}{}{END}", one(&long), one("k"))).unwrap();
    let lines = page.pieces.last_mut().unwrap();
    assert_eq!(lines.take_facts(0), EntryFacts::KeyTooLong { bytes: 20_000 });
    assert!(lines.text(0).len() <= LONGEST_TEXT && long.starts_with(lines.text(0)));
    assert_eq!(lines.text(1), "k");
}

#[test]
fn the_version_of_an_answer_is_recognised() {
    let page = |inner: &str| listed(inner).unwrap().facts;
    let truncated = "<IsTruncated>true</IsTruncated>";
    let first = page(&format!(
        "<Marker/>{truncated}<NextMarker>a%20b</NextMarker>{URL}"
    ));
    assert!(first.version_1);
    assert_eq!(first.marker.as_deref(), Some("a%20b"));
    let second = page(&format!(
        "<KeyCount>0</KeyCount>{truncated}<NextContinuationToken>t+%20</NextContinuationToken>{URL}"
    ));
    assert_eq!(second.token.as_deref(), Some("t+%20"));
    assert!(!second.version_1);
    assert_eq!(page("").truncated, None);
}

/// An element of an entry, in forms that stores write and forms that none does.
fn element() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "Key",
        "Size",
        "ETag",
        "LastModified",
        "StorageClass",
        "Owner",
        "x:Key",
    ]);
    let text = prop_oneof![
        "[a-z/ ]{0,6}",
        "[0-9]{1,20}",
        Just("&quot;0f&quot;".to_owned()),
        Just("&quot;".to_owned()),
        Just("a&amp;b".to_owned()),
        Just("2026-01-02T03:04:05.000Z".to_owned()),
        Just("<![CDATA[<]]>".to_owned()),
        Just("<!-- <Key>b</Key> -->".to_owned()),
        Just("<ID>1</ID><DisplayName/>".to_owned()),
        Just("<ID>1</ID><b><c>2</c></b>".to_owned()),
        Just("<ID>1".to_owned()),
        "\\PC{0,6}",
    ];
    let space = prop::sample::select(vec!["", "", "", "\n  ", "text", "<!-- -->"]);
    (name, text, space, 0..20_u8).prop_map(|(name, text, space, form)| match form {
        0 => format!("{space}<{name}/>"),
        1 => format!("{space}<{name} a='1'>{text}</{name}>"),
        2 => format!("{space}<{name}>{text}</{name} >"),
        3 => format!("{space}<{name}>{text}"),
        _ => format!("{space}<{name}>{text}</{name}>"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plain_entries_are_read_as_the_parser_reads_them(
        entries in prop::collection::vec((prop::collection::vec(element(), 0..5), 0..8_u8), 0..6)
    ) {
        let inner: String = entries.iter().map(|(elements, form)| {
            let key = if *form > 0 { "<Key>k</Key>" } else { "" };
            format!("<Contents>{key}{}</Contents>", elements.concat())
        }).collect();
        let shown = |inner: &str| listed(inner).map(|end| format!("{end:?}")).map_err(|error| error.to_string());
        // A space in a tag forces the use of the XML parser.
        prop_assert_eq!(shown(&inner), shown(&inner.replace("<Contents>", "<Contents >")));
    }
}

#[test]
fn times_agree_with_the_library() {
    for text in [
        "1970-01-01T00:00:00Z",
        "2000-02-29T23:59:59.999Z",
        "2023-12-31T23:59:59Z",
        "2024-03-01T00:00:00.001Z",
        "2100-03-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ] {
        let wanted: jiff::Timestamp = text.parse().unwrap();
        assert_eq!(
            plain_time(text.as_bytes()),
            Some(wanted.as_millisecond()),
            "{text}"
        );
    }
    for text in [
        "2024-01-01T00:00:00.12Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01 00:00:00Z",
        "2024-1-01T00:00:00Z",
        "",
    ] {
        assert_eq!(plain_time(text.as_bytes()), None, "{text}");
    }
    assert_eq!(
        time("2024-01-01T00:00:00.123456Z"),
        Some(UnixMillis(1_704_067_200_123))
    );
}

#[test]
fn a_month_has_its_own_days() {
    for (name, text, known) in [
        ("leap year", "2024-02-29T00:00:00.000Z", true),
        ("no leap year", "2023-02-29T00:00:00.000Z", false),
        ("a century", "2100-02-29T00:00:00.000Z", false),
        ("a fourth century", "2000-02-29T00:00:00.000Z", true),
        ("a leap year ends early too", "2024-02-30T00:00:00.000Z", false),
        ("31 February", "2024-02-31T00:00:00.000Z", false),
        ("31 April", "2024-04-31T00:00:00.000Z", false),
        ("31 June", "2024-06-31T00:00:00.000Z", false),
        ("31 September", "2024-09-31T00:00:00.000Z", false),
        ("31 November", "2024-11-31T00:00:00.000Z", false),
        ("31 December", "2024-12-31T00:00:00.000Z", true),
        ("day 0", "2024-01-00T00:00:00.000Z", false),
        ("31 February with an offset", "2024-02-31T00:00:00+01:00", false),
        ("a day as RFC 1123", "Sat, 02 Mar 2024 00:00:00 GMT", true),
        ("31 February as RFC 1123", "Sat, 31 Feb 2024 00:00:00 GMT", false),
        (
            "31 February as RFC 850",
            "Saturday, 31-Feb-24 00:00:00 GMT",
            false,
        ),
        ("31 February as asctime", "Sat Feb 31 00:00:00 2024", false),
    ] {
        assert_eq!(time(text).is_some(), known, "{name}: {text}");
    }
    for year in [1970, 1999, 2000, 2023, 2024, 2099, 2100, 2400, 9996] {
        for (month, day) in (1..=12).flat_map(|month| (1..=32).map(move |day| (month, day))) {
            let text = format!("{year:04}-{month:02}-{day:02}T12:34:56.789Z");
            let wanted = text
                .parse::<jiff::Timestamp>()
                .ok()
                .map(jiff::Timestamp::as_millisecond);
            assert_eq!(plain_time(text.as_bytes()), wanted, "{text}");
        }
    }
}

#[test]
fn a_time_is_known_or_unknown_and_never_an_error() {
    let known = Some(UnixMillis(1_704_067_200_000));
    for (name, text, wanted) in [
        ("S3", "2024-01-01T00:00:00.000Z", known),
        ("nanoseconds", "2024-01-01T00:00:00.000000000Z", known),
        ("offset", "2024-01-01T01:00:00+01:00", known),
        ("offset without a colon", "2024-01-01T01:00:00+0100", known),
        ("RFC 1123", "Mon, 01 Jan 2024 00:00:00 GMT", known),
        ("no zone", "2024-01-01T00:00:00", None),
        ("blank and no zone", "2024-01-01 00:00:00", None),
        ("empty", "", None),
        ("a word", "yesterday", None),
        ("the epoch", "1970-01-01T00:00:00.000Z", None),
        ("year 1", "0001-01-01T00:00:00Z", None),
        ("year 52047", "52047-01-01T00:00:00.000Z", None),
        ("no such day", "2024-13-45T00:00:00Z", None),
    ] {
        assert_eq!(time(text), wanted, "{name}");
    }
}

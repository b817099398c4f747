//! Parses the small XML documents: errors, results of copies and uploads, lists of parts, tags.

use std::fmt::Write as _;

use bytes::Bytes;

use super::names::{UrlEncoding, url_decode};
use super::xml::{Cursor, Element, malformed};
use crate::error::Result;
use crate::object::{ETag, Part, Tags, UploadId};

/// What an error document says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    pub code: Option<String>,
    pub message: Option<String>,
    pub request_id: Option<String>,
    /// The region of the bucket, if the request went to another one.
    pub region: Option<String>,
}

/// Parses as much as possible of an error document. The status is known without it.
pub(super) fn failure(body: &[u8]) -> Failure {
    let mut found = Failure::default();
    if let Ok((mut cursor, Element::Error)) = Cursor::open(body) {
        // Best effort: what was read before a syntax error is kept.
        let _read = read_failure(&mut cursor, &mut found);
    } else if wants_tls(body) {
        found.message =
            Some("this port speaks TLS; write https:// instead of http:// in the endpoint".to_owned());
    }
    found
}

/// Whether a server says that it received plain HTTP but expects TLS. Go's server, nginx and Apache say so with status
/// 400.
fn wants_tls(body: &[u8]) -> bool {
    let start = &body[..body.len().min(1024)];
    let said = String::from_utf8_lossy(start).to_ascii_lowercase();
    [
        "http request to an https server",
        "plain http request was sent to https port",
        "speaking plain http to an ssl-enabled server port",
    ]
    .iter()
    .any(|sentence| said.contains(sentence))
}

fn read_failure(cursor: &mut Cursor<'_>, found: &mut Failure) -> Result<()> {
    while let Some(tag) = cursor.child()? {
        let field = match tag {
            Element::Code => &mut found.code,
            Element::Message => &mut found.message,
            Element::RequestId => &mut found.request_id,
            Element::Region => &mut found.region,
            _ => {
                cursor.skip()?;
                continue;
            }
        };
        *field = Some(cursor.text()?.into_owned());
    }
    Ok(())
}

/// Parses `CopyObjectResult`, `CopyPartResult` or `CompleteMultipartUploadResult`: the ETag, and the inner error of a
/// response of status 200.
pub(super) fn written(body: &[u8], wanted: Element) -> Result<Result<Option<ETag>, Failure>> {
    let (mut cursor, root) = Cursor::open(body)?;
    if root == Element::Error {
        let mut found = Failure::default();
        read_failure(&mut cursor, &mut found)?;
        return Ok(Err(found));
    }
    if root != wanted {
        return Err(malformed("another document than expected"));
    }
    let mut etag = None;
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::ETag => etag = Some(ETag::new(&cursor.text()?)).filter(|tag| !tag.as_str().is_empty()),
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    Ok(Ok(etag))
}

/// Parses `InitiateMultipartUploadResult`.
pub(super) fn upload_id(body: &[u8]) -> Result<UploadId> {
    let mut cursor = Cursor::expect(body, Element::InitiateMultipartUploadResult)?;
    let mut id = None;
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::UploadId => id = Some(cursor.text()?.into_owned()),
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    id.filter(|id| !id.is_empty())
        .map(UploadId)
        .ok_or_else(|| malformed("no upload id"))
}

/// One page of `ListPartsResult`: the parts, and the marker of the next page if there is one.
pub(super) fn parts(body: &[u8]) -> Result<(Vec<Part>, Option<u32>)> {
    let mut cursor = Cursor::expect(body, Element::ListPartsResult)?;
    let mut found: Vec<Part> = Vec::new();
    let (mut truncated, mut next) = (false, None);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::Part => found.push(part(&mut cursor)?),
            Element::IsTruncated => truncated = cursor.truth()?,
            Element::NextPartNumberMarker => next = cursor.text()?.trim().parse().ok(),
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    let next = next.or_else(|| found.last().map(|part| part.number));
    if truncated && next.is_none() {
        return Err(malformed("the list of parts is truncated, but has no marker"));
    }
    Ok((found, next.filter(|_| truncated)))
}

fn part(cursor: &mut Cursor<'_>) -> Result<Part> {
    let (mut number, mut etag, mut size) = (None, None, 0);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::PartNumber => number = Some(cursor.number()?),
            Element::ETag => etag = Some(ETag::new(&cursor.text()?)),
            Element::Size => size = cursor.number()?,
            _ => cursor.skip()?,
        }
    }
    let number = number.ok_or_else(|| malformed("a part without a number"))?;
    let etag = etag.ok_or_else(|| malformed("a part without a tag"))?;
    Ok(Part { number, etag, size })
}

/// Parses `ListMultipartUploadsResult`: the uploads of exactly `key`. The key is the prefix of the request. The
/// shortest of the keys with that prefix comes first, so the first page has all uploads of it.
pub(super) fn uploads(body: &[u8], key: &[u8]) -> Result<Vec<UploadId>> {
    let mut cursor = Cursor::expect(body, Element::ListMultipartUploadsResult)?;
    let (mut found, mut encoded) = (Vec::new(), false);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::EncodingType => encoded = cursor.text()?.trim() == "url",
            Element::Upload => found.push(open_upload(&mut cursor)?),
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    let mut ids = Vec::new();
    for (text, id) in found {
        let mut is_key = text.as_bytes() == key;
        if encoded {
            // All keys begin with the requested prefix, so only one reading of a `+` can give the key.
            for encoding in [UrlEncoding::Form, UrlEncoding::Path] {
                let mut decoded = Vec::new();
                if !url_decode(text.as_bytes(), encoding, &mut decoded) {
                    return Err(malformed("a key is not url-encoded"));
                }
                is_key |= decoded == key;
            }
        }
        if is_key {
            ids.push(UploadId(id));
        }
    }
    Ok(ids)
}

fn open_upload(cursor: &mut Cursor<'_>) -> Result<(String, String)> {
    let (mut key, mut id) = (None, None);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::Key => key = Some(cursor.text()?.into_owned()),
            Element::UploadId => id = Some(cursor.text()?.into_owned()),
            _ => cursor.skip()?,
        }
    }
    key.zip(id)
        .ok_or_else(|| malformed("an upload without a key or an id"))
}

/// Parses `Tagging`.
pub(super) fn tags(body: &[u8]) -> Result<Tags> {
    let mut cursor = Cursor::expect(body, Element::Tagging)?;
    let mut found = Tags::new();
    while let Some(tag) = cursor.child()? {
        if tag != Element::TagSet {
            cursor.skip()?;
            continue;
        }
        while let Some(tag) = cursor.child()? {
            if tag != Element::Tag {
                cursor.skip()?;
                continue;
            }
            let (mut key, mut value) = (None, String::new());
            while let Some(tag) = cursor.child()? {
                match tag {
                    Element::Key => key = Some(cursor.text()?.into_owned()),
                    Element::Value => value = cursor.text()?.into_owned(),
                    _ => cursor.skip()?,
                }
            }
            found.push((key.ok_or_else(|| malformed("a tag without a key"))?, value));
        }
    }
    cursor.finish()?;
    Ok(found)
}

/// The document that completes an upload.
pub(super) fn completion(parts: &[Part]) -> Bytes {
    let mut text = String::with_capacity(160 + parts.len() * 100);
    text.push_str(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for part in parts {
        let etag = quick_xml::escape::minimal_escape(part.etag.as_str());
        // Writing to a string does not fail.
        let _written = write!(
            text,
            "<Part><PartNumber>{}</PartNumber><ETag>\"{etag}\"</ETag></Part>",
            part.number
        );
    }
    text.push_str("</CompleteMultipartUpload>");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

    #[test]
    fn errors_are_read_as_far_as_they_go() {
        let text = format!(
            "{HEAD}<Error><Code>NoSuchKey</Code><Message>a &lt;b&gt; &#65;</Message>\
             <Resource>/b/k</Resource><Extra><Deep>x</Deep></Extra><RequestId>id</RequestId><HostId/></Error>"
        );
        let whole = failure(text.as_bytes());
        assert_eq!(whole.code.as_deref(), Some("NoSuchKey"));
        assert_eq!(whole.message.as_deref(), Some("a <b> A"));
        assert_eq!(whole.request_id.as_deref(), Some("id"));
        let cut = failure(&text.as_bytes()[..120]);
        assert_eq!(cut.code.as_deref(), Some("NoSuchKey"));
        for odd in [
            "",
            "<html><body>Bad gateway</body></html>",
            "plain",
            "<Error",
            "{}",
        ] {
            assert_eq!(failure(odd.as_bytes()), Failure::default(), "{odd}");
        }
    }

    #[test]
    fn a_server_that_wants_tls_is_understood() {
        for said in [
            "Client sent an HTTP request to an HTTPS server.\n",
            "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        ] {
            let found = failure(said.as_bytes());
            assert!(found.message.unwrap().contains("write https://"), "{said}");
            assert_eq!(found.code, None);
        }
        assert_eq!(failure(b"HTTPS"), Failure::default());
    }

    #[test]
    fn results_are_tags_or_inner_errors() {
        let etag =
            |text: &str| written(text.as_bytes(), Element::CopyObjectResult).map(|r| r.map_err(|f| f.code));
        let tag = Some(ETag::new("abc"));
        let result = etag(
            "  \n \n<?xml version=\"1.0\"?>\n<CopyObjectResult xmlns=\"x\"><ETag>&quot;abc&quot;</ETag></CopyObjectResult>\n",
        );
        assert_eq!(result.unwrap(), Ok(tag.clone()));
        let result =
            etag("<a:CopyObjectResult xmlns:a='x'><a:ETag><![CDATA[\"abc\"]]></a:ETag></a:CopyObjectResult>");
        assert_eq!(result.unwrap(), Ok(tag));
        assert_eq!(etag("<CopyObjectResult/>").unwrap(), Ok(None));
        assert_eq!(
            etag("<Error><Code>InternalError</Code></Error>").unwrap(),
            Err(Some("InternalError".into()))
        );
        for wrong in [
            "",
            "<html></html>",
            "<CopyPartResult/>",
            "<CopyObjectResult><ETag>abc</ETag>",
            "<CopyObjectResult><ETag>abc</CopyObjectResult>",
            "<CopyObjectResult></CopyObjectResult><more/>",
            "<CopyObjectResult><ETag>&nope;</ETag></CopyObjectResult>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><CopyObjectResult><ETag>&a;</ETag></CopyObjectResult>",
            "<Error><Code>cut",
        ] {
            assert!(etag(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn uploads_parts_and_tags_are_read() {
        let id = upload_id(b"<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>");
        assert_eq!(id.unwrap(), UploadId("a&b".into()));
        assert!(upload_id(b"<InitiateMultipartUploadResult/>").is_err());
        let one = "<Part><PartNumber>7</PartNumber><ETag>\"x\"</ETag><Size>5</Size></Part>";
        let list = |rest: &str| parts(format!("<ListPartsResult>{one}{rest}</ListPartsResult>").as_bytes());
        let (found, next) =
            list("<IsTruncated>false</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker>").unwrap();
        assert_eq!((found[0].number, found[0].size, next), (7, 5, None));
        assert_eq!(list("<IsTruncated>true</IsTruncated>").unwrap().1, Some(7));
        assert!(list("<Part><PartNumber>8</PartNumber></Part>").is_err());
        let page = b"<ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>a%20b</Key><UploadId>1</UploadId>\
            </Upload><Upload><Key>a%20bc</Key><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
        assert_eq!(uploads(page, b"a b").unwrap(), [UploadId("1".to_owned())]);
        assert!(parts(b"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>").is_err());
        let found = tags(b"<Tagging><TagSet><Tag><Key>k </Key><Value/></Tag><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>");
        assert_eq!(
            found.unwrap(),
            [("k ".to_owned(), String::new()), ("a".to_owned(), "b".to_owned())]
        );
        assert!(tags(b"<Tagging/>").unwrap().is_empty());
        assert!(tags(b"<Error/>").is_err());
    }

    #[test]
    fn a_completion_names_every_part() {
        let part = Part {
            number: 3,
            etag: ETag::new("a<b"),
            size: 0,
        };
        assert_eq!(
            completion(&[part]),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>\
             <PartNumber>3</PartNumber><ETag>\"a&lt;b\"</ETag></Part></CompleteMultipartUpload>"
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("<CopyObjectResult>{}", "<a>".repeat(100_000));
        assert!(written(text.as_bytes(), Element::CopyObjectResult).is_err());
    }
}

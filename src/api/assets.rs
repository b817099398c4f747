//! Files that the service sends as they are: packed once, and sent again only where the reader has another version.

use std::borrow::Cow;
use std::io::{Read as _, Write as _};
use std::sync::OnceLock;

use actix_web::http::header::{
    self, AcceptEncoding, CacheControl, CacheDirective, ETag, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// A file, in plain and packed with gzip. Each form is made when it is first asked for.
pub struct Asset {
    kind: String,
    plain: OnceLock<Bytes>,
    packed: OnceLock<Bytes>,
    tag: OnceLock<String>,
}

impl Asset {
    /// A file of this media type, from its plain bytes.
    #[must_use]
    pub fn of_text(kind: &str, text: impl Into<Bytes>) -> Self {
        Self {
            kind: kind.to_owned(),
            plain: OnceLock::from(text.into()),
            packed: OnceLock::new(),
            tag: OnceLock::new(),
        }
    }

    /// A file of this media type, from bytes that gzip has packed.
    #[must_use]
    pub fn of_packed(kind: &str, bytes: Cow<'static, [u8]>) -> Self {
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Self {
            kind: kind.to_owned(),
            plain: OnceLock::new(),
            packed: OnceLock::from(bytes),
            tag: OnceLock::new(),
        }
    }

    /// The answer to a request for the file: 304 where the reader has it already, packed where the reader takes that.
    ///
    /// A reader may keep the file but asks each time whether it has changed: its name stays the same when the service is
    /// replaced.
    #[must_use]
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let form = if takes_gzip(request) {
            Form::Packed
        } else {
            Form::Plain
        };
        let tag = self.tag(form);
        let mut answer = if has_already(request, &tag) {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        answer
            .insert_header(ETag(tag))
            .insert_header(CacheControl(vec![CacheDirective::NoCache]))
            .insert_header((header::VARY, "accept-encoding"));
        if has_already(request, &self.tag(form)) {
            return answer.finish();
        }
        answer.content_type(self.kind.as_str());
        match form {
            Form::Plain => answer.body(self.plain().clone()),
            Form::Packed => answer
                .insert_header((header::CONTENT_ENCODING, "gzip"))
                .body(self.packed().clone()),
        }
    }

    /// Names this version of a form. The forms have different bytes, so their tags differ.
    fn tag(&self, form: Form) -> EntityTag {
        let hash = self.tag.get_or_init(|| {
            let known = self.plain.get().or_else(|| self.packed.get());
            hex::encode(&Sha256::digest(known.map_or(&[][..], |bytes| bytes))[..16])
        });
        EntityTag::new_strong(match form {
            Form::Plain => hash.clone(),
            Form::Packed => format!("{hash}-gzip"),
        })
    }

    fn plain(&self) -> &Bytes {
        self.plain.get_or_init(|| {
            let mut bytes = Vec::new();
            let packed = self.packed.get().map_or(&[][..], |bytes| bytes);
            GzDecoder::new(packed)
                .read_to_end(&mut bytes)
                .expect("the build packed the file");
            bytes.into()
        })
    }

    fn packed(&self) -> &Bytes {
        self.packed.get_or_init(|| {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            let plain = self.plain.get().map_or(&[][..], |bytes| bytes);
            packer
                .write_all(plain)
                .and_then(|()| packer.finish())
                .expect("memory takes every write")
                .into()
        })
    }
}

/// How a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Packed,
}

/// Whether gzip is named in `Accept-Encoding` and not refused there. Readers that say nothing get plain bytes.
fn takes_gzip(request: &HttpRequest) -> bool {
    let gzip = header::Encoding::gzip();
    let offered = [gzip.clone(), header::Encoding::identity()];
    request.headers().contains_key(header::ACCEPT_ENCODING)
        && AcceptEncoding::parse(request)
            .is_ok_and(|accepted| accepted.negotiate(offered.iter()) == Some(gzip))
}

fn has_already(request: &HttpRequest, tag: &EntityTag) -> bool {
    if !request.headers().contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn get(headers: &[(&'static str, &str)]) -> HttpRequest {
        let mut request = TestRequest::get();
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        request.to_http_request()
    }

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it() {
        for (value, wanted) in [
            ("gzip, deflate, br, zstd", true),
            ("gzip", true),
            ("*", false),
            ("identity", false),
            ("br", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&get(&[("accept-encoding", value)])), wanted, "{value}");
        }
        assert!(!takes_gzip(&get(&[])));
    }

    #[test]
    fn both_forms_hold_the_same_bytes_and_have_tags_of_their_own() {
        let text = Asset::of_text("text/plain", "a text ".repeat(1000));
        let packed = Asset::of_packed("text/plain", text.packed().to_vec().into());
        assert_eq!(text.plain(), packed.plain());
        assert!(text.packed().len() < text.plain().len());
        assert_ne!(text.tag(Form::Plain), text.tag(Form::Packed));
    }

    #[test]
    fn what_the_reader_has_is_not_sent_again() {
        let asset = Asset::of_text("text/plain", "a");
        let first = asset.answer(&get(&[]));
        let value =
            |answer: &HttpResponse, name| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let tag = value(&first, header::ETAG);
        assert_eq!(value(&first, header::CACHE_CONTROL), "no-cache");
        for (name, wanted) in [
            (tag.clone(), 304),
            (format!("\"x\", W/{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            ("not a tag".to_owned(), 200),
        ] {
            let answer = asset.answer(&get(&[("if-none-match", &name)]));
            assert_eq!(answer.status().as_u16(), wanted, "{name}");
            assert_eq!(value(&answer, header::ETAG), tag);
        }
        let other = asset.answer(&get(&[("if-none-match", &tag), ("accept-encoding", "gzip")]));
        assert_eq!(other.status().as_u16(), 200);
    }
}

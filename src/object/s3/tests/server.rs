//! A server that computes signatures itself and refuses what a test tells it to.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const SECRET: &str = "secret";

/// A request as it was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let mut lines = head
            .split(|b| *b == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = String::from_utf8(lines.next()?.to_vec()).unwrap();
        let mut words = first.split(' ').map(str::to_owned);
        let mut seen = Self {
            method: words.next()?,
            target: words.next()?,
            ..Self::default()
        };
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|b| *b == b':')?;
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap();
            seen.headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
        let length = seen
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        seen.body = vec![0; length];
        stream.read_exact(&mut seen.body).await.ok()?;
        Some(seen)
    }

    /// Whether the signature is correct for a server that interprets header values in this way.
    pub(super) fn is_signed(&self, read: fn(&[u8]) -> Vec<u8>) -> bool {
        let authorization = self.header("authorization").unwrap();
        let part = |name: &str| {
            let rest = authorization.split_once(name).unwrap().1;
            rest.split([',', ' ']).next().unwrap().to_owned()
        };
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                if pair.contains('=') {
                    pair.to_owned()
                } else {
                    format!("{pair}=")
                }
            })
            .collect();
        pairs.sort();
        let names = part("SignedHeaders=");
        let mut canonical = format!("{}\n{path}\n{}\n", self.method, pairs.join("&")).into_bytes();
        for name in names.split(';') {
            let values = self.headers.iter().filter(|(known, _)| known == name);
            let values: Vec<Vec<u8>> = values.map(|(_, value)| read(value)).collect();
            canonical.extend_from_slice(name.as_bytes());
            canonical.push(b':');
            canonical.extend_from_slice(&values.join(&b','));
            canonical.push(b'\n');
        }
        let hash = self.header("x-amz-content-sha256").unwrap();
        canonical.extend_from_slice(format!("\n{names}\n{hash}").as_bytes());
        let scope = part("Credential=").split_once('/').unwrap().1.to_owned();
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.header("x-amz-date").unwrap(),
            hex::encode(Sha256::digest(&canonical))
        );
        let mac = |key: &[u8], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let key = scope
            .split('/')
            .fold(format!("AWS4{SECRET}").into_bytes(), |key, text| mac(&key, text));
        hex::encode(mac(&key, &to_sign)) == part("Signature=")
    }
}

pub(super) type Judge = Box<dyn Fn(&Seen) -> Option<(u16, &'static str, &'static str)> + Send + Sync>;

/// A server that refuses requests as the judge says, with status, code and message, and accepts all others.
pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Server {
    pub(super) async fn start(judge: Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = Seen::read(&mut stream).await else {
                    continue;
                };
                let (status, document) = match judge(&request) {
                    Some((status, code, message)) => (
                        status,
                        format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
                    ),
                    None => (200, taken(&request)),
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n",
                    document.len()
                );
                let body = if request.method == "HEAD" {
                    ""
                } else {
                    document.as_str()
                };
                log.lock().unwrap().push(request);
                // A client that closed the connection already has its response.
                let _sent = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self {
            url,
            seen,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(super) fn options(&self) -> S3Options {
        options(self.url.clone(), ("ACCESSKEY", SECRET))
    }

    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn taken(request: &Seen) -> String {
    let root = match (request.method.as_str(), request.target.contains("uploads")) {
        ("POST", true) => {
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        }
        ("POST", false) => {
            "<CompleteMultipartUploadResult><ETag>\"a\"</ETag></CompleteMultipartUploadResult>"
        }
        ("GET", _) => {
            "<ListBucketResult><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>\
             <IsTruncated>false</IsTruncated></ListBucketResult>"
        }
        _ => "",
    };
    root.to_owned()
}

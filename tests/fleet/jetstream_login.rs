//! How the client of the work queue proves who it is, and that it trusts and tells nobody else.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use oms::dispatch::jetstream::{JetStream, NatsSettings};
use oms::error::{Error, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::jetstream::{settings, task, tools};
use super::local_nats::Nats;
use crate::support::rig::TIMEOUT;
use crate::support::wait::until;

/// A part of every secret.
const CANARY: &str = "canary0a1b2c3d";

/// What the client and the crate below it write to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Catches everything that is logged on this thread until the guard is dropped.
    fn catch(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Connects and uses the connection.
async fn works(settings: &NatsSettings) {
    let client = JetStream::connect(settings).await.unwrap();
    client.connected(TIMEOUT).await.unwrap();
    let mut looks = client.looks().await.unwrap();
    client.look(task(5)).await.unwrap();
    assert_eq!(looks.next().await, Some(task(5)));
}

/// Waits until the client says that it is refused for this reason.
async fn refused(settings: &NatsSettings, kind: ErrorKind) -> Error {
    let client = JetStream::connect(settings).await.unwrap();
    let error = Mutex::new(None);
    until("the connection is refused", async || {
        let now = client.connected(Duration::from_millis(1)).await.unwrap_err();
        let is_it = now.kind() == kind;
        *error.lock().unwrap() = Some(now);
        is_it
    })
    .await;
    error.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let Some(tools) = tools() else { return };
    let log = Log::default();
    let _guard = log.catch();
    let password = format!("{CANARY}/:@%");
    let users = json!({"users": [{"user": "us:er", "password": password}]});
    let nats = Nats::start_with(&tools, json!({ "authorization": users })).await;
    let url = |password: &str| format!("nats://us%3Aer:{password}@{}", nats.address());
    works(&settings(&url(&format!("{CANARY}%2F%3A%40%25")))).await;
    for wrong in [url(&format!("{CANARY}wrong")), nats.url()] {
        let error = refused(&settings(&wrong), ErrorKind::Unauthenticated).await;
        assert!(!format!("{error:?} {error}").contains(CANARY));
    }
    // Nobody listens there.
    let nobody = settings(&format!("nats://user:{CANARY}@127.0.0.1:1"));
    let error = JetStream::connect(&nobody)
        .await
        .unwrap()
        .connected(TIMEOUT / 60)
        .await;
    let error = error.unwrap_err();
    assert!(error.message().contains("refused"), "{error}");
    let text = log.text();
    assert!(text.contains("attempting connection"), "the log is not caught");
    assert!(!text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn a_token_is_used() {
    let Some(tools) = tools() else { return };
    let log = Log::default();
    let _guard = log.catch();
    let nats = Nats::start_with(&tools, json!({"authorization": {"token": CANARY}})).await;
    works(&settings(&format!("nats://{CANARY}@{}", nats.address()))).await;
    assert!(!log.text().contains(CANARY));
}

#[tokio::test]
async fn an_nkey_is_used_and_never_shown() {
    let Some(tools) = tools() else { return };
    let log = Log::default();
    let _guard = log.catch();
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let users = json!({"users": [{"nkey": user.public_key()}]});
    let nats = Nats::start_with(&tools, json!({ "authorization": users })).await;
    let folder = TempDir::new().unwrap();
    let with = |pair: &KeyPair| {
        let file = folder.path().join("seed");
        std::fs::write(&file, format!("{}\n", pair.seed().unwrap())).unwrap();
        NatsSettings {
            nkey_file: Some(file),
            ..settings(&nats.url())
        }
    };
    works(&with(&user)).await;
    refused(&with(&stranger), ErrorKind::Unauthenticated).await;
    let text = log.text();
    assert!(!text.contains(&user.seed().unwrap()) && !text.contains(&stranger.seed().unwrap()));
}

/// A signed claim of NATS.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: Value) -> String {
    let claims = json!({"jti": "x", "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": claims});
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let signature = encode(&issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

#[tokio::test]
async fn a_credentials_file_is_used_and_never_shown() {
    let Some(tools) = tools() else { return };
    let log = Log::default();
    let _guard = log.catch();
    let (operator, account, user) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    );
    let none = -1;
    let limits = json!({"subs": none, "data": none, "payload": none, "conn": none, "leaf": none, "imports": none,
        "exports": none, "wildcards": true});
    let preload = jwt(
        &operator,
        &account,
        json!({"type": "account", "version": 2, "limits": limits}),
    );
    let nats = Nats::start_with(
        &tools,
        json!({
            "jetstream": false,
            "operator": jwt(&operator, &operator, json!({"type": "operator", "version": 2})),
            "resolver": "MEMORY",
            "resolver_preload": {account.public_key(): preload},
        }),
    )
    .await;
    let token = jwt(
        &account,
        &user,
        json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": none, "data": none, "payload": none}),
    );
    let seed = user.seed().unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    std::fs::write(&file, text).unwrap();
    works(&NatsSettings {
        creds_file: Some(file),
        ..settings(&nats.url())
    })
    .await;
    refused(&settings(&nats.url()), ErrorKind::Unauthenticated).await;
    let log = log.text();
    assert!(!log.contains(&token) && !log.contains(&seed));
}

/// A new authority's certificate, and a certificate and a key that it gives to a server.
fn certificates(folder: &TempDir, name: &str) -> [PathBuf; 3] {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = params.signed_by(&key, &issuer).unwrap().pem();
    let write = |part: &str, text: String| {
        let file = folder.path().join(format!("{name}-{part}.pem"));
        std::fs::write(&file, text).unwrap();
        file
    };
    [
        write("ca", authority),
        write("cert", server),
        write("key", key.serialize_pem()),
    ]
}

#[tokio::test]
async fn only_a_trusted_server_is_talked_to() {
    let Some(tools) = tools() else { return };
    let folder = TempDir::new().unwrap();
    let [trusted, cert, key] = certificates(&folder, "one");
    let [stranger, ..] = certificates(&folder, "two");
    let nats = Nats::start_with(&tools, json!({"tls": {"cert_file": cert, "key_file": key}})).await;
    let with = |url: String, authority: Option<&PathBuf>| NatsSettings {
        ca_file: authority.cloned(),
        ..settings(&url)
    };
    let tls = format!("tls://{}", nats.address());
    works(&with(tls.clone(), Some(&trusted))).await;
    works(&with(nats.url(), Some(&trusted))).await;
    for authority in [Some(&stranger), None] {
        let error = refused(&with(tls.clone(), authority), ErrorKind::Forbidden).await;
        assert!(error.message().contains("certificate"), "{error}");
    }
    // A server without TLS, where the settings demand it.
    let open = Nats::start(&tools).await;
    for demanded in [
        with(open.url(), Some(&trusted)),
        with(format!("tls://{}", open.address()), None),
    ] {
        let client = JetStream::connect(&demanded).await.unwrap();
        assert!(client.connected(TIMEOUT / 60).await.is_err());
    }
}

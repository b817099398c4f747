//! Valid and invalid certificates, and a TLS proxy before a sandbox.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oms::net::Authorities;
use oms::sandbox::Sandbox;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The host name of every server.
const NAME: &str = "localhost";

/// Which certificate a server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A valid certificate of the authority.
    Good,
    /// An expired certificate.
    Expired,
    /// A certificate that is not valid yet.
    TooEarly,
    /// A certificate for another host name.
    OtherName,
    /// A self-signed certificate.
    SelfSigned,
}

/// A certificate authority.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority that nobody trusts yet.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate in PEM.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A set of trusted authorities that contains this one.
    pub fn trusted(&self) -> Authorities {
        Authorities::read(&self.file()).unwrap()
    }

    fn server(&self, shows: Shows) -> Arc<ServerConfig> {
        let name = if shows == Shows::OtherName {
            "elsewhere.example"
        } else {
            NAME
        };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // An unusual name, because the machine may trust an authority with a usual name.
        let own = format!("a server of the tests for {name}");
        params.distinguished_name.push(DnType::CommonName, own);
        match shows {
            Shows::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Shows::TooEarly => params.not_before = date_time_ymd(2090, 1, 1),
            Shows::Good | Shows::OtherName | Shows::SelfSigned => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match shows {
            Shows::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.unwrap().der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        Arc::new(config.unwrap())
    }
}

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    accepted: AtomicUsize,
    open: Mutex<CancellationToken>,
}

/// A proxy that terminates TLS and forwards everything to a sandbox.
pub struct TlsProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

impl TlsProxy {
    /// A proxy before `sandbox` that presents a certificate of `authority`.
    pub async fn before(sandbox: &Sandbox, authority: &Authority, shows: Shows) -> Self {
        let behind = sandbox.endpoint().trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config: Mutex::new(authority.server(shows)),
            accepted: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, behind, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("https://{NAME}:{}", self.address.port())
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes all connections, and presents another certificate on new ones.
    pub fn show(&self, authority: &Authority, shows: Shows) {
        *self.shared.config.lock().unwrap() = authority.server(shows);
        std::mem::take(&mut *self.shared.open.lock().unwrap()).cancel();
    }
}

async fn accept(listener: TcpListener, behind: String, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (outside, _) = listener.accept().await.unwrap();
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let acceptor = TlsAcceptor::from(shared.config.lock().unwrap().clone());
        let closed = shared.open.lock().unwrap().clone();
        let behind = behind.clone();
        connections.spawn(async move {
            let pass = async {
                // The client refused the certificate.
                let Ok(mut outside) = acceptor.accept(outside).await else {
                    return;
                };
                let Ok(mut inside) = TcpStream::connect(behind).await else {
                    return;
                };
                // Errors are ignored: both sides see that the connection has ended.
                copy_bidirectional(&mut outside, &mut inside)
                    .await
                    .unwrap_or_default();
            };
            closed.run_until_cancelled(pass).await.unwrap_or_default();
        });
    }
}

//! Over loopback: listening, TLS with certificates that are renewed, places and their number, stopping.

use crate::model::Vault;
use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::{Receiver, TokenKey};
use super::*;
use crate::config::{Callers, Order, ReceiveSettings};

struct Running {
    address: SocketAddr,
    kept: Arc<Kept>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn settings(tls: Option<(std::path::PathBuf, std::path::PathBuf)>) -> ReceiveSettings {
    ReceiveSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        path: "/datasync".to_owned(),
        token_path: "/oauth2/token".to_owned(),
        callers: Callers::Clients(vec![("orce".to_owned(), Secret::new(SECRET))]),
        tls,
        order: Order::Arrival,
    }
}

async fn bind(settings: &ReceiveSettings, limits: ReceiveLimits) -> Result<Receiver<Kept>> {
    let key = TokenKey::of(&Vault::new(&[7; 32]));
    Receiver::bind(settings, limits, key, Arc::default(), Clock::new()).await
}

impl Running {
    async fn start(settings: &ReceiveSettings, limits: ReceiveLimits) -> Self {
        let kept = Arc::new(Kept::default());
        let key = TokenKey::of(&Vault::new(&[7; 32]));
        let receiver = Receiver::bind(settings, limits, key, Arc::clone(&kept), Clock::new())
            .await
            .unwrap();
        let address = receiver.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(receiver.serve(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            kept,
            stop,
            task,
        }
    }
}

fn token() -> String {
    let clock = Clock::new();
    match gate(&clock, &limits()) {
        Gate::Own(tokens) => {
            let header = basic_header("orce", SECRET);
            let request = super::super::own_tokens::TokenRequest {
                authorization: Some(&header),
                query: "",
                body: b"grant_type=client_credentials",
            };
            match tokens.grant(&request) {
                super::super::own_tokens::Grant::Given { token, .. } => token,
                other => panic!("{other:?}"),
            }
        }
        Gate::Foreign(_) => unreachable!("tests have clients of their own"),
    }
}

fn request(id: &str) -> String {
    let body = body(id, "{}");
    format!(
        "POST /datasync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        token(),
        body.len()
    )
}

/// Sends a request and reads the head of its answer.
async fn exchange(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    request: &str,
) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: rustls::pki_types::CertificateDer<'static>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Tests");
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().der().clone();
    Authority {
        issuer: Issuer::new(params, key),
        root,
    }
}

impl Authority {
    /// Certificate and key, in PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    async fn connect(
        &self,
        address: SocketAddr,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The first record of a client that speaks TLS 1.1 (minor version 2) or 1.2 (3), with all else as rustls needs it.
fn hello(minor: u8) -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 0x17][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 23, 0, 0],
    ]
    .concat();
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.len() as u8]);
    body.extend(extensions);
    let mut record = vec![
        0x16,
        3,
        1,
        0,
        body.len() as u8 + 4,
        1,
        0,
        0,
        body.len() as u8,
    ];
    record.extend(body);
    record
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        directory.path().join("server.pem"),
        directory.path().join("server.key"),
    );
    let authority = authority();
    let (pem, private) = authority.sign("localhost");
    std::fs::write(&certificate, &pem).unwrap();
    std::fs::write(&key, &private).unwrap();
    let running = Running::start(
        &settings(Some((certificate.clone(), key.clone()))),
        limits(),
    )
    .await;
    for (at, version) in BOTH.iter().enumerate() {
        let mut stream = authority
            .connect(running.address, &[version])
            .await
            .unwrap();
        let said = exchange(&mut stream, &request(&at.to_string())).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    for (version, answer) in [(2, [0x15, 70]), (3, [0x16, 2])] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let mut record = [0; 7];
        stream.read_exact(&mut record).await.unwrap();
        // The alert "protocol version", or a handshake's server hello.
        let said = if record[0] == 0x15 {
            record[6]
        } else {
            record[5]
        };
        assert_eq!([record[0], said], answer, "3.{version}: {record:?}");
    }
    // Plain http at a port for TLS gets nowhere.
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let said = exchange(&mut stream, &request("x")).await;
    assert!(!said.contains("200"), "{said:?}");
    // A client that does not know the authority goes away.
    assert!(
        super::socket::authority()
            .connect(running.address, BOTH)
            .await
            .is_err()
    );
    // A renewed certificate is shown to the next connection.
    let (pem, private) = authority.sign("localhost");
    std::fs::write(&key, format!("{private}\n\n")).unwrap();
    std::fs::write(&certificate, format!("{pem}\n\n")).unwrap();
    let mut stream = authority.connect(running.address, BOTH).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let renewed: rustls::pki_types::CertificateDer<'_> = {
        use rustls::pki_types::pem::PemObject;
        rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    };
    assert_eq!(shown, renewed);
    assert!(
        exchange(&mut stream, &request("9"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(running.kept.ids(), ["0", "1", "9"]);
}

#[tokio::test]
async fn one_address_has_its_number_of_connections_and_gets_them_back() {
    let mut few = limits();
    few.connections_per_peer = 2;
    let running = Running::start(&settings(None), few).await;
    let mut open = Vec::new();
    for id in ["1", "2"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        assert!(
            exchange(&mut stream, &request(id))
                .await
                .starts_with("HTTP/1.1 200")
        );
        open.push(stream);
    }
    let mut third = TcpStream::connect(running.address).await.unwrap();
    let _ = third.write_all(request("3").as_bytes()).await;
    let mut nothing = Vec::new();
    let _ = third.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    // Once one has gone, there is room.
    let mut first = open.remove(0);
    first.shutdown().await.unwrap();
    let _ = first.read_to_end(&mut Vec::new()).await;
    loop {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let _ = stream.write_all(request("4").as_bytes()).await;
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).await.is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 200");
            break;
        }
    }
    assert_eq!(running.kept.ids(), ["1", "2", "4"]);
}

#[tokio::test]
async fn connections_beyond_the_number_wait_for_a_place() {
    let mut few = limits();
    (few.connections, few.connections_per_peer) = (1, 1);
    let running = Running::start(&settings(None), few).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    assert!(
        exchange(&mut first, &request("1"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let mut second = TcpStream::connect(running.address).await.unwrap();
    second.write_all(request("2").as_bytes()).await.unwrap();
    assert_eq!(running.kept.ids(), ["1"]);
    drop(first);
    let mut answer = [0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn h74_a_stop_closes_what_idles_and_takes_no_more() {
    let running = Running::start(&settings(None), limits()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    assert!(
        exchange(&mut stream, &request("1"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn what_can_not_be_listened_on_is_told() {
    let mut open = settings(None);
    open.listen = "0.0.0.0:0".parse().unwrap();
    let error = bind(&open, limits()).await.err().unwrap();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-CFG-URL", crate::model::ErrorKind::Config)
    );
    let first = bind(&settings(None), limits()).await.unwrap();
    let mut taken = settings(None);
    taken.listen = first.address().unwrap();
    let error = bind(&taken, limits()).await.err().unwrap();
    assert_eq!(error.code(), "E-LISTEN");
    let gone = settings(Some(("/nowhere/c.pem".into(), "/nowhere/k.pem".into())));
    assert_eq!(
        bind(&gone, limits()).await.err().unwrap().code(),
        "E-TLS-CERTIFICATE"
    );
}

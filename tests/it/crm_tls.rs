//! TLS before a CRM: a certificate that nobody vouches for is refused without a way round it, `ca:` adds an authority.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::Project;
use crate::two_way::{assert_equal_sides, plain};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    Authority { pem, issuer }
}

/// One request over TLS, handed on to the CRM behind it, and the answer back.
fn hand_on(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    crm: SocketAddr,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !request.ends_with(b"Envelope>") {
        match client.read(&mut piece)? {
            0 => return Ok(()),
            length => request.extend(&piece[..length]),
        }
    }
    let end = request.iter().position(|byte| *byte == b'\n').unwrap_or(0) + 1;
    let mut server = TcpStream::connect(crm)?;
    server.write_all(&request[..end])?;
    server.write_all(b"Connection: close\r\n")?;
    server.write_all(&request[end..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}

/// Puts TLS before the project's CRM, with a certificate for `name` that is valid until that year.
fn behind_tls(project: &Project, authority: &Authority, name: &str, until: i32) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params
        .signed_by(&key, &authority.issuer)
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("a certificate and its key");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let crm = project.crm.address();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            // A client that does not trust the certificate goes away.
            std::thread::spawn(move || {
                let _ = hand_on(StreamOwned::new(connection, stream), crm);
            });
        }
    });
    let text = std::fs::read_to_string(project.path("bridge.yaml")).expect("bridge.yaml");
    let old = text
        .lines()
        .find(|line| line.contains("endpoint:"))
        .expect("an endpoint");
    let path = "catalystwebservice/catalystcrmwebservice.asmx";
    project.edit(
        "bridge.yaml",
        old,
        &format!("      endpoint: https://localhost:{port}/{path}"),
    );
}

/// A run that must end with 5, `E-TLS` and this, before anything was asked for or written.
#[track_caller]
fn refused(project: &Project, why: &str) {
    let ran = project.line("sync --format json").exits(5);
    let report = ran.json();
    let said = report["bridges"][0]["error"].as_str().unwrap_or_default();
    assert!(said.starts_with("E-TLS") && said.contains(why), "{said}");
    assert_eq!(project.crm.counts().values().sum::<u64>(), 0);
}

#[test]
fn a_certificate_must_be_vouched_for_and_ca_adds_an_authority() {
    let project = plain(120).build();
    let ours = authority("The company's own");
    std::fs::write(project.path("ours.pem"), &ours.pem).expect("a file");
    behind_tls(&project, &ours, "localhost", 2120);
    refused(&project, "unknown authority");
    // An authority of somebody else changes nothing.
    std::fs::write(project.path("other.pem"), authority("Another").pem).expect("a file");
    project.edit(
        "bridge.yaml",
        "      site_id",
        "      ca: other.pem\n      site_id",
    );
    refused(&project, "unknown authority");
    project.edit("bridge.yaml", "ca: other.pem", "ca: ours.pem");
    // Vouched for, and yet not to be trusted.
    behind_tls(&project, &ours, "localhost", 2025);
    refused(&project, "expired 2025-01-01");
    behind_tls(&project, &ours, "crm.example", 2120);
    refused(&project, "another name");

    behind_tls(&project, &ours, "localhost", 2120);
    project.sync(0);
    project.sql("UPDATE customers SET city = 'Over TLS' WHERE customer_no = 'M000001'");
    let report = project.sync(0);
    assert_eq!(report["push"]["updated"], 1, "{report:#}");
    assert_equal_sides(&project);
    project.quiet_sync(0);
}

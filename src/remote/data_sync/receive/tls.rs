//! The receiver's certificate: read from its files, and read again when they change.
//!
//! TLS 1.2 and 1.3; a client certificate is not asked for (seed 003: TLS v1.2; `orce.md` §3). It must not log what stands in the key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::model::{Error, Result};

/// A chain of a few certificates has some kilobytes.
const FILE_MAX: u64 = 1 << 20;

/// When and how long both files were, to notice that they changed.
type Marks = [Option<(SystemTime, u64)>; 2];

/// Certificate and key in their files.
pub(super) struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    present: Mutex<Present>,
}

struct Present {
    marks: Marks,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Reads both files. `E-TLS-CERTIFICATE` or `E-TLS-KEY` (exit 2) names the file and what is wrong with it.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let marks = [mark(certificate), mark(key)];
        let config = read(certificate, key)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            present: Mutex::new(Present { marks, config }),
        })
    }

    /// What the next connection is accepted with. Files that changed are read again; if they don't fit (half of a renewal), what
    /// was there before goes on to serve, and the next change is looked at again.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = [mark(&self.certificate), mark(&self.key)];
        if marks != present.marks {
            present.marks = marks;
            match read(&self.certificate, &self.key) {
                Ok(config) => {
                    present.config = config;
                    tracing::info!("the receiver's certificate was read again");
                }
                Err(error) => tracing::error!(
                    code = error.code(),
                    "{}; the certificate that was read before stays in use",
                    error.message()
                ),
            }
        }
        TlsAcceptor::from(Arc::clone(&present.config))
    }
}

fn mark(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn bytes(path: &Path, code: &'static str, key: &str) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let refuse = |what: String| Error::config(code, format!("{key} {}: {what}", path.display()));
    let length = std::fs::metadata(path).map_or(0, |found| found.len());
    if length > FILE_MAX {
        return Err(refuse(format!("is larger than {FILE_MAX} bytes")));
    }
    std::fs::read(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| refuse(format!("can't be read ({})", error.kind())))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    const CERTIFICATE: &str = "E-TLS-CERTIFICATE";
    const KEY: &str = "E-TLS-KEY";
    let of_certificate = |what: &str| {
        let file = certificate.display();
        Error::config(CERTIFICATE, format!("tls.certificate {file}: {what}"))
    };
    let of_key = |what: &str| Error::config(KEY, format!("tls.key {}: {what}", key.display()));
    let pem = bytes(certificate, CERTIFICATE, "tls.certificate")?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| of_certificate("is not PEM"))?;
    if chain.is_empty() {
        return Err(of_certificate("holds no certificate in PEM"));
    }
    let pem = bytes(key, KEY, "tls.key")?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let locked = pem.windows(9).any(|window| window == b"ENCRYPTED");
        of_key(if locked {
            "is encrypted; the bridge needs it without a passphrase, readable for its user alone"
        } else {
            "holds no private key in PEM"
        })
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            of_key("is not the key of the certificate in tls.certificate")
        }
        rustls::Error::InvalidCertificate(_) => of_certificate("its first certificate can't be read"),
        _ => of_key("is of a kind that can't be used (RSA of 2048 bits and more, ECDSA P-256 or P-384, Ed25519)"),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| Error::unexpected("E-TLS", "TLS can't be set up").caused_by(error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (
            directory.path().join("c.pem"),
            directory.path().join("k.pem"),
        );
        let (ours, others) = (made(), made());
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (of_certificate, of_key, code, says) in [
            (
                "",
                ours.1.as_str(),
                "E-TLS-CERTIFICATE",
                "holds no certificate",
            ),
            (
                ours.1.as_str(),
                ours.1.as_str(),
                "E-TLS-CERTIFICATE",
                "holds no certificate",
            ),
            (
                broken,
                ours.1.as_str(),
                "E-TLS-CERTIFICATE",
                "can't be read",
            ),
            (ours.0.as_str(), "", "E-TLS-KEY", "holds no private key"),
            (ours.0.as_str(), locked, "E-TLS-KEY", "is encrypted"),
            (
                ours.0.as_str(),
                others.1.as_str(),
                "E-TLS-KEY",
                "is not the key of the certificate",
            ),
        ] {
            std::fs::write(&certificate, of_certificate).unwrap();
            std::fs::write(&key, of_key).unwrap();
            let error = Identity::load(&certificate, &key).err().unwrap();
            assert_eq!(
                (error.code(), error.kind()),
                (code, crate::model::ErrorKind::Config),
                "{error}"
            );
            assert!(error.message().contains(says), "{error}");
        }
        std::fs::remove_file(&key).unwrap();
        std::fs::write(&certificate, &ours.0).unwrap();
        let error = Identity::load(&certificate, &key).err().unwrap();
        assert!(
            error
                .message()
                .ends_with("can't be read (entity not found)"),
            "{error}"
        );
    }

    #[test]
    fn a_renewed_certificate_is_used_once_its_key_is_there_too() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (
            directory.path().join("c.pem"),
            directory.path().join("k.pem"),
        );
        let (old, new) = (made(), made());
        std::fs::write(&certificate, &old.0).unwrap();
        std::fs::write(&key, &old.1).unwrap();
        let identity = Identity::load(&certificate, &key).unwrap();
        let config = |identity: &Identity| {
            identity.acceptor();
            Arc::clone(&identity.present.lock().unwrap().config)
        };
        let first = config(&identity);
        assert!(Arc::ptr_eq(&first, &config(&identity)));
        // Lengths differ, so that the change shows also where clocks of files are coarse.
        std::fs::write(&certificate, format!("{}\n\n", new.0)).unwrap();
        assert!(Arc::ptr_eq(&first, &config(&identity)), "half of a renewal");
        std::fs::write(&key, format!("{}\n\n", new.1)).unwrap();
        assert!(!Arc::ptr_eq(&first, &config(&identity)));
    }
}

//! Signatures of tokens by ring: what jsonwebtoken needs to verify, and nothing to sign with.
//!
//! The algorithms are those of public keys. There is no HMAC here, so that no public key can ever serve as a shared secret.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::signature::{Error as Refused, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature as ring_signature;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the one that verifies in this process; whoever was first is the same.
pub(super) fn install() {
    let _ = RING.install_default();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if way(*algorithm).is_none() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

enum Way {
    Rsa(&'static ring_signature::RsaParameters),
    Other(&'static dyn ring_signature::VerificationAlgorithm),
}

/// RSA keys have at least 2048 bits. `None` for HMAC and whatever else there is.
fn way(algorithm: Algorithm) -> Option<Way> {
    use ring_signature as ring;
    Some(match algorithm {
        Algorithm::RS256 => Way::Rsa(&ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Way::Rsa(&ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Way::Rsa(&ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Way::Rsa(&ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Way::Rsa(&ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Way::Rsa(&ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Way::Other(&ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Way::Other(&ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Way::Other(&ring::ED25519),
        _ => return None,
    })
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Refused> {
        let refused = |_| Refused::new();
        match (way(self.algorithm), self.key.kind()) {
            (Some(Way::Rsa(parameters)), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                ring_signature::RsaPublicKeyComponents { n, e }
                    .verify(parameters, message, signature)
                    .map_err(refused)
            }
            (Some(Way::Other(algorithm)), DecodingKeyKind::SecretOrDer(key)) => {
                ring_signature::UnparsedPublicKey::new(algorithm, key)
                    .verify(message, signature)
                    .map_err(refused)
            }
            _ => Err(Refused::new()),
        }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The one algorithm that a published key is for: what it says itself, else the usual one of its type. `None` for keys that
/// verify nothing here: shared secrets, keys for encryption, algorithms that do not fit their type.
pub(super) fn algorithm_of(key: &Jwk) -> Option<Algorithm> {
    if matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let fitting: &[(KeyAlgorithm, Algorithm)] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[
            (KeyAlgorithm::RS256, Algorithm::RS256),
            (KeyAlgorithm::RS384, Algorithm::RS384),
            (KeyAlgorithm::RS512, Algorithm::RS512),
            (KeyAlgorithm::PS256, Algorithm::PS256),
            (KeyAlgorithm::PS384, Algorithm::PS384),
            (KeyAlgorithm::PS512, Algorithm::PS512),
        ],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            &[(KeyAlgorithm::ES384, Algorithm::ES384)]
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => return None,
    };
    match key.common.key_algorithm {
        None => fitting.first().map(|(_, algorithm)| *algorithm),
        Some(said) => {
            let found = fitting.iter().find(|(known, _)| *known == said);
            found.map(|(_, algorithm)| *algorithm)
        }
    }
}

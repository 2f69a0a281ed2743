//! Tokens of the gateway: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), and nothing else that goes by that
//! name. The algorithm is ours to choose and never the token's; a claim counts once the signature was found good.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ed25519_dalek::{Signature, VerifyingKey};
use er_event::keys::valid_tenant;
use serde::{Deserialize, Deserializer};

use crate::gateway::Gateway;

/// Longer ones are not looked at.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How far the gateway's clock may be ahead of ours.
pub const SKEW_US: i64 = 5_000_000;

const ALGORITHM: &str = "EdDSA";
const HASH_CHARS: usize = 64;

/// Why a token counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed with {ALGORITHM}")]
    Algorithm,
    #[error("the token is signed with a key that the gateway does not have")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has another issuer than the gateway")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token names nobody")]
    Nobody,
}

/// What a token says of who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// In whose name.
    pub tenant: String,
    pub caller: Caller,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody whom the identity provider knows by this name.
    User(String),
    /// The holder of the API key with this hash.
    Key(String),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood. None is.
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    iss: String,
    #[serde(default, deserialize_with = "one_or_many")]
    aud: Vec<String>,
    #[serde(default)]
    sub: String,
    exp: Option<i64>,
    nbf: Option<i64>,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    key: Option<String>,
}

/// Whether a credential has the form of a token. An API key has not.
#[must_use]
pub fn is_token(credential: &str) -> bool {
    credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Who calls, in whose name, by the word of the gateway.
///
/// # Errors
/// What is wrong with the token.
pub fn verify(token: &str, gateway: &Gateway, now_us: i64) -> Result<Claims, Refused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Refused::Malformed)?;
    let header: Header = json(header)?;
    if header.alg != ALGORITHM {
        return Err(Refused::Algorithm);
    }
    if header.crit.is_some() {
        return Err(Refused::Malformed);
    }
    let known = gateway.keys.iter().find(|key| !key.kid.is_empty() && key.kid == header.kid);
    let key = known.and_then(|key| public_key(&key.x)).ok_or(Refused::UnknownKey)?;
    let signature = Signature::from_slice(&bytes(signature)?).map_err(|_| Refused::Malformed)?;
    // Strict: no key of low order, no second spelling of a signature.
    key.verify_strict(signed.as_bytes(), &signature).map_err(|_| Refused::Signature)?;
    claims(json(payload)?, gateway, now_us)
}

fn claims(wire: Wire, gateway: &Gateway, now_us: i64) -> Result<Claims, Refused> {
    if gateway.issuer.is_empty() || wire.iss != gateway.issuer {
        return Err(Refused::Issuer);
    }
    if gateway.audience.is_empty() || !wire.aud.contains(&gateway.audience) {
        return Err(Refused::Audience);
    }
    // Both are needed: a token that never ends is none.
    let (expires, begins) = (wire.exp.ok_or(Refused::Malformed)?, wire.nbf.ok_or(Refused::Malformed)?);
    if expires.saturating_mul(1_000_000) <= now_us {
        return Err(Refused::Expired);
    }
    if begins.saturating_mul(1_000_000) > now_us.saturating_add(SKEW_US) {
        return Err(Refused::NotYet);
    }
    if !valid_tenant(&wire.tenant) {
        return Err(Refused::Nobody);
    }
    let caller = match wire.key {
        Some(hash) if is_hash(&hash) => Caller::Key(hash),
        None if crate::members::valid_user(&wire.sub) => Caller::User(wire.sub),
        _ => return Err(Refused::Nobody),
    };
    Ok(Claims { tenant: wire.tenant, caller })
}

/// A public key of Ed25519 as a JSON Web Key has it.
pub(crate) fn public_key(x: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn bytes(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refused> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| Refused::Malformed)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

//! What is known of the gateway: its keys, and whether all must come through it. Written by the control provider, read by
//! whoever lets requests in.

use er_event::event::time_us;
use serde::{Deserialize, Serialize};

/// Bucket of what is known of the gateway.
pub const GATEWAY_BUCKET: &str = "ER_GATEWAY";
/// The only record in it. None: there is no gateway.
pub const GATEWAY_PATH: &str = "gateway";
/// Keys the gateway may have at once, old ones and new.
pub const KEYS_MAX: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Whoever comes around it is refused, operators' keys excepted.
    #[serde(default)]
    pub only: bool,
    /// The `iss` of its tokens; empty: there is no gateway any more.
    #[serde(default)]
    pub issuer: String,
    /// The `aud` of its tokens.
    #[serde(default)]
    pub audience: String,
    #[serde(default)]
    pub keys: Vec<GatewayKey>,
    /// When the keys were fetched, RFC 3339.
    #[serde(default)]
    pub fetched: String,
    /// Keys that are older are not believed.
    #[serde(default)]
    pub stale_s: u32,
}

/// A public key of Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayKey {
    pub kid: String,
    /// 32 bytes in base64url.
    pub x: String,
}

/// A JSON Web Key Set, as the gateway publishes it.
#[derive(Debug, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    x: String,
}

// === impl Gateway ===

impl Gateway {
    /// Whether the keys may be believed at that time. A time that can't be read, or is yet to come, is no good.
    #[must_use]
    pub fn is_fresh(&self, now_us: i64) -> bool {
        time_us(&self.fetched).is_some_and(|fetched| {
            let age_us = now_us.saturating_sub(fetched);
            (-crate::token::SKEW_US..=i64::from(self.stale_s) * 1_000_000).contains(&age_us)
        })
    }
}

/// The keys of a JSON Web Key Set that tokens of the gateway can be signed with. What else is in it is passed over, and
/// nothing secret is kept.
///
/// # Errors
/// What is wrong with a set that can't be used.
pub fn keys_of_set(jwks: &str) -> Result<Vec<GatewayKey>, String> {
    let set: Jwks = serde_json::from_str(jwks).map_err(|cause| format!("no JSON Web Key Set: {cause}"))?;
    let keys: Vec<GatewayKey> = set
        .keys
        .into_iter()
        .filter(|key| {
            key.kty == "OKP"
                && key.crv == "Ed25519"
                && key.alg.as_deref().is_none_or(|alg| alg == "EdDSA")
                && key.usage.as_deref().is_none_or(|usage| usage == "sig")
                && !key.kid.is_empty()
                && crate::token::public_key(&key.x).is_some()
        })
        .map(|key| GatewayKey { kid: key.kid, x: key.x })
        .collect();
    match keys.len() {
        0 => Err("the set has no key for EdDSA (Ed25519) with a kid".into()),
        1..=KEYS_MAX => Ok(keys),
        many => Err(format!("the set has {many} keys; {KEYS_MAX} are the most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn key(more: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{X}"{more}}}"#)
    }

    #[test]
    fn only_keys_that_can_sign_a_token_are_kept_and_no_secret_is() {
        let rsa = r#"{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB","alg":"RS256"}"#;
        let good = key(r#","alg":"EdDSA","use":"sig","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#);
        let keys = keys_of_set(&format!(r#"{{"keys":[{rsa},{good}]}}"#)).unwrap();
        assert_eq!(keys, [GatewayKey { kid: "1".into(), x: X.into() }]);
    }

    #[test]
    fn a_set_without_a_key_of_use_is_none() {
        for key in [
            key(r#","alg":"HS256""#),
            key(r#","use":"enc""#),
            key("").replace("Ed25519", "X25519"),
            key("").replace("\"1\"", "\"\""),
            key("").replace(X, "AAAA"),
            key("").replace("OKP", "oct"),
        ] {
            assert!(keys_of_set(&format!(r#"{{"keys":[{key}]}}"#)).is_err(), "{key}");
        }
        assert!(keys_of_set("[]").is_err() && keys_of_set(r#"{"keys":[]}"#).is_err());
        let many = vec![key(""); KEYS_MAX + 1].join(",");
        assert!(keys_of_set(&format!(r#"{{"keys":[{many}]}}"#)).is_err());
    }

    #[test]
    fn keys_grow_stale() {
        let gateway = Gateway { fetched: "2030-01-01T00:00:00Z".into(), stale_s: 60, ..Gateway::default() };
        let at = |time: &str| gateway.is_fresh(time_us(time).unwrap());
        assert!(at("2030-01-01T00:00:00Z") && at("2030-01-01T00:01:00Z"));
        assert!(!at("2030-01-01T00:01:01Z") && !at("2029-12-31T23:00:00Z"));
        assert!(!Gateway { fetched: String::new(), ..gateway }.is_fresh(0));
    }
}

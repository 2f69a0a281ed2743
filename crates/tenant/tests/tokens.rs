//! Tokens of the gateway: those that count, and the many that must not.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::unwrap_used)]

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use er_event::event::time_us;
use er_tenant::gateway::{Gateway, GatewayKey};
use er_tenant::token::{is_token, verify, Caller, Refused, TOKEN_BYTES_MAX};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{json, Map, Value};

/// When the gateway's tokens of these tests were made.
const NOW: &str = "2026-01-01T00:00:00Z";
const NOW_S: i64 = 1_767_225_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    /// Members in place of a good token's.
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    signed_with: Option<String>,
    /// In place of the true one.
    #[serde(default)]
    signature: Option<String>,
    expect: String,
}

fn key(name: &str) -> SigningKey {
    let mut seed = [7; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SigningKey::from_bytes(&seed)
}

fn gateway() -> Gateway {
    let public =
        |kid: &str| GatewayKey { kid: kid.to_owned(), x: URL_SAFE_NO_PAD.encode(key(kid).verifying_key().as_bytes()) };
    Gateway {
        issuer: "https://gateway.example".into(),
        audience: "eventrunner".into(),
        keys: ["old", "new"].map(public).into(),
        fetched: NOW.into(),
        stale_s: 300,
        only: true,
    }
}

fn signed(header: &Value, claims: &Value, with: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key(with).sign(text.as_bytes()).to_bytes());
    format!("{text}.{signature}")
}

fn with(mut good: Value, changes: &Map<String, Value>) -> Value {
    good.as_object_mut().unwrap().extend(changes.clone());
    good
}

fn token(vector: &Vector) -> String {
    let header = with(json!({ "alg": "EdDSA", "typ": "JWT", "kid": "old" }), &vector.header);
    let claims = json!({
        "iss": "https://gateway.example", "aud": ["eventrunner"], "sub": "alice", "tenant": "acme",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 60,
    });
    let token = signed(&header, &with(claims, &vector.claims), vector.signed_with.as_deref().unwrap_or("old"));
    match &vector.signature {
        None => token,
        Some(other) => format!("{}.{other}", token.rsplit_once('.').unwrap().0),
    }
}

fn good() -> String {
    token(&serde_json::from_value(json!({ "name": "good", "expect": "" })).unwrap())
}

fn decided(token: &str) -> String {
    match verify(token, &gateway(), time_us(NOW).unwrap()) {
        Ok(claims) => match claims.caller {
            Caller::User(user) => format!("{} user {user}", claims.tenant),
            Caller::Key(hash) => format!("{} key {hash}", claims.tenant),
        },
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn tokens_are_decided_as_the_vectors_say() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/tokens.json")).unwrap();
    for vector in vectors {
        assert_eq!(decided(&token(&vector)), vector.expect, "{}", vector.name);
    }
}

#[test]
fn a_member_that_is_named_twice_spoils_the_token() {
    let twice =
        format!(r#"{{"iss":"https://gateway.example","tenant":"acme","tenant":"other","exp":{NOW_S},"nbf":0}}"#);
    let text =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"old"}"#), URL_SAFE_NO_PAD.encode(twice));
    let signature = URL_SAFE_NO_PAD.encode(key("old").sign(text.as_bytes()).to_bytes());
    assert_eq!(decided(&format!("{text}.{signature}")), Refused::Malformed.to_string());
}

#[test]
fn without_keys_or_names_of_its_own_a_gateway_vouches_for_nobody() {
    let now = time_us(NOW).unwrap();
    for (gateway, refused) in [
        (Gateway { keys: vec![], ..gateway() }, Refused::UnknownKey),
        (Gateway { issuer: String::new(), ..gateway() }, Refused::Issuer),
        (Gateway { audience: String::new(), ..gateway() }, Refused::Audience),
    ] {
        assert_eq!(verify(&good(), &gateway, now), Err(refused));
    }
}

#[test]
fn the_form_tells_a_token_from_a_key() {
    assert!(is_token(&good()) && is_token("a.b.c"));
    for other in ["", "er_acme_AAAA", "a.b", "a.b.c.d"] {
        assert!(!is_token(other), "{other}");
        assert_ne!(decided(other), "acme user alice");
    }
    assert_eq!(decided(&format!("{}.{}", "a".repeat(TOKEN_BYTES_MAX), good())), Refused::Malformed.to_string());
}

proptest! {
    #[test]
    fn no_change_of_a_token_goes_unnoticed(place in 0..good().len(), byte in "[A-Za-z0-9_.=-]") {
        let mut token = good();
        prop_assume!(token[place..=place] != byte);
        token.replace_range(place..=place, &byte);
        let refused = verify(&token, &gateway(), time_us(NOW).unwrap());
        prop_assert!(refused.is_err(), "{token} was taken for {refused:?}");
    }

    #[test]
    fn whatever_comes_is_answered(text in ".{0,200}", header in ".{0,40}", claims in ".{0,80}") {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in [text, format!("{}.{}.{}", part(&header), part(&claims), part("x"))] {
            prop_assert!(verify(&token, &gateway(), 0).is_err());
        }
    }
}

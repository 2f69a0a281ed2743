//! From what a caller shows to who they are, on records as they rest in the buckets.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ed25519_dalek::{Signer as _, SigningKey};
use er_event::event::time_us;
use er_event::keys::{self, Role};
use er_tenant::auth::{authenticate, Refusal, Way};
use er_tenant::gateway::{GATEWAY_BUCKET, GATEWAY_PATH};
use er_tenant::members::{member_path, MEMBERS_BUCKET};
use er_tenant::token::Refused;
use er_tenant::{key_path, Denied, Principal, KEYS_BUCKET, OPERATOR, TENANTS_BUCKET};
use serde_json::{json, Value};

const NOW_S: i64 = 1_767_225_600;

/// Buckets in memory.
struct World {
    records: BTreeMap<(String, String), String>,
    asked: Cell<usize>,
    away: bool,
}

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn token(claims: &Value) -> String {
    let mut all = json!({ "iss": "gw", "aud": "er", "nbf": NOW_S, "exp": NOW_S + 60 });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "1" })), part(&all));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signer().sign(text.as_bytes()).to_bytes()))
}

impl World {
    fn new() -> Self {
        let mut world = World { records: BTreeMap::new(), asked: Cell::new(0), away: false };
        world.gateway(true, "2026-01-01T00:00:00Z");
        world.put(TENANTS_BUCKET, "acme", &json!({ "id": "acme", "quota": { "events_per_s": 5 } }));
        world
    }

    fn put(&mut self, bucket: &str, key: &str, value: &Value) {
        self.records.insert((bucket.into(), key.into()), value.to_string());
    }

    fn gateway(&mut self, only: bool, fetched: &str) {
        let keys = json!([{ "kid": "1", "x": URL_SAFE_NO_PAD.encode(signer().verifying_key().as_bytes()) }]);
        let record =
            json!({ "only": only, "issuer": "gw", "audience": "er", "keys": keys, "fetched": fetched, "stale_s": 60 });
        self.put(GATEWAY_BUCKET, GATEWAY_PATH, &record);
    }

    fn member(&mut self, tenant: &str, user: &str, role: &str) {
        self.put(MEMBERS_BUCKET, &member_path(tenant, user), &json!({ "user": user, "role": role }));
    }

    fn key(&mut self, tenant: &str, role: &str) -> String {
        let key = keys::format(tenant, &[5; 32]);
        let hash = keys::hash(&key);
        self.put(KEYS_BUCKET, &key_path(tenant, &hash), &json!({ "id": &hash[..12], "role": role }));
        key
    }

    fn ask(&self, credential: &str, way: Way) -> Result<Principal, Refusal<&'static str>> {
        let now_us = time_us("2026-01-01T00:00:10Z").unwrap();
        authenticate(credential, way, now_us, |bucket, key| {
            self.asked.set(self.asked.get() + 1);
            if self.away {
                return Err("away");
            }
            Ok(self.records.get(&(bucket.to_owned(), key.to_owned())).cloned())
        })
    }

    fn come(&self, credential: &str) -> Result<Principal, Refusal<&'static str>> {
        self.ask(credential, Way::Gateway)
    }
}

#[test]
fn a_member_is_what_the_record_of_this_moment_says() {
    let mut world = World::new();
    let alice = token(&json!({ "sub": "alice", "tenant": "acme", "role": "superuser" }));
    assert_eq!(world.come(&alice), Err(Refusal::NoMember));
    for (word, role) in [("viewer", Role::Viewer), ("tenant_admin", Role::TenantAdmin), ("admin", Role::Admin)] {
        world.member("acme", "alice", word);
        let principal = world.come(&alice).unwrap();
        assert_eq!((principal.role, principal.by().as_str()), (role, "acme/user:alice"));
        assert_eq!((principal.tenant.as_str(), principal.quota.events_per_s), ("acme", Some(5)));
    }
    world.put(TENANTS_BUCKET, "acme", &json!({ "id": "acme", "suspended": true }));
    assert_eq!(world.come(&alice), Err(Refusal::NoMember));
}

#[test]
fn a_member_of_one_tenant_is_nobody_in_another() {
    let mut world = World::new();
    world.put(TENANTS_BUCKET, "other", &json!({ "id": "other" }));
    world.member("acme", "alice", "tenant_admin");
    assert_eq!(world.come(&token(&json!({ "sub": "alice", "tenant": "other" }))), Err(Refusal::NoMember));
    // A record in the wrong place is no better than none.
    let stolen = json!({ "user": "bob", "role": "admin" });
    world.put(MEMBERS_BUCKET, &member_path("other", "alice"), &stolen);
    assert_eq!(world.come(&token(&json!({ "sub": "alice", "tenant": "other" }))), Err(Refusal::NoMember));
}

#[test]
fn superusers_are_of_the_operators_and_nowhere_else() {
    let mut world = World::new();
    world.member(OPERATOR, "olga", "superuser");
    let olga = world.come(&token(&json!({ "sub": "olga", "tenant": OPERATOR }))).unwrap();
    assert_eq!((olga.role, olga.tenant.as_str()), (Role::Operator, OPERATOR));
    world.member("acme", "eve", "superuser");
    world.member(OPERATOR, "eve", "admin");
    for tenant in ["acme", OPERATOR] {
        assert_eq!(world.come(&token(&json!({ "sub": "eve", "tenant": tenant }))), Err(Refusal::NoMember));
    }
}

#[test]
fn a_key_counts_through_the_gateway_alone_where_all_must_come_through_it() {
    let mut world = World::new();
    let key = world.key("acme", "admin");
    let through = token(&json!({ "sub": "key:acme:0", "tenant": "acme", "key": keys::hash(&key) }));
    assert_eq!(world.come(&key), Err(Refusal::Around));
    assert_eq!(world.come(&through).unwrap(), world.ask(&key, Way::Any).unwrap());
    // Whoever holds a wrong key is not told that there is a gateway.
    assert_eq!(world.come(&keys::format("acme", &[6; 32])), Err(Refusal::Key(Denied)));
    world.gateway(false, "2026-01-01T00:00:00Z");
    assert!(world.come(&key).is_ok() && world.come(&through).is_ok());
    world.records.retain(|(bucket, _), _| bucket != KEYS_BUCKET);
    assert_eq!(world.come(&through), Err(Refusal::Key(Denied)), "a key that was revoked");
}

#[test]
fn operators_keys_count_so_that_somebody_can_mend_the_gateway() {
    let mut world = World::new();
    let operator = world.key(OPERATOR, "operator");
    assert_eq!(world.come(&operator).unwrap().role, Role::Operator);
}

#[test]
fn what_is_not_known_is_no_refusal_and_no_permission() {
    let mut world = World::new();
    world.member("acme", "alice", "viewer");
    let (alice, key) = (token(&json!({ "sub": "alice", "tenant": "acme" })), world.key("acme", "viewer"));
    // The keys of a gateway that nobody could ask for a minute.
    world.gateway(true, "2025-12-31T23:59:09Z");
    assert!(matches!(world.come(&alice), Err(Refusal::Away(_))));
    world.put(GATEWAY_BUCKET, GATEWAY_PATH, &json!("damaged"));
    assert!(matches!(world.come(&alice), Err(Refusal::Away(_))));
    assert!(matches!(world.come(&key), Err(Refusal::Away(_))), "damage opens nothing");
    world.away = true;
    assert_eq!(world.come(&alice), Err(Refusal::Fault("away")));
    assert_eq!(world.come(&key), Err(Refusal::Fault("away")));
}

#[test]
fn without_a_gateway_no_token_counts() {
    let mut world = World::new();
    world.member("acme", "alice", "viewer");
    world.records.retain(|(bucket, _), _| bucket != GATEWAY_BUCKET);
    let alice = token(&json!({ "sub": "alice", "tenant": "acme" }));
    assert_eq!(world.come(&alice), Err(Refusal::NoGateway));
    world.put(GATEWAY_BUCKET, GATEWAY_PATH, &json!({ "only": false }));
    assert_eq!(world.come(&alice), Err(Refusal::NoGateway));
}

#[test]
fn a_forged_token_costs_one_look_up() {
    let world = World::new();
    let alice = token(&json!({ "sub": "alice", "tenant": "acme" }));
    let forged = format!("{}x", &alice[..alice.len() - 1]);
    assert!(matches!(world.come(&forged), Err(Refusal::Token(Refused::Signature | Refused::Malformed))));
    assert_eq!(world.asked.get(), 1);
    assert_eq!(world.come("er_acme_short"), Err(Refusal::Key(Denied)));
    assert_eq!(world.asked.get(), 1);
}

//! An identity provider: signs JSON Web Tokens, publishes its keys, and says whether an opaque token is good. Whoever runs the
//! platform brings their own; this one does what any does that speaks OAuth 2.0 (RFC 7517, 7519, 7662).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::Router;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, KeyPair as _, ECDSA_P256_SHA256_FIXED_SIGNING as ALGORITHM};
use serde_json::{json, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const AUDIENCE: &str = "eventrunner";
const KID: &str = "idp-1";
const LASTS_S: i64 = 600;

/// It ends when this is dropped.
pub struct Idp {
    pub url: String,
    key: Signer,
    /// Of somebody who would like to be this provider.
    stranger: Signer,
    opaque: Opaque,
    server: JoinHandle<()>,
}

type Opaque = Arc<Mutex<HashMap<String, Value>>>;

struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

// === impl Idp ===

impl Idp {
    /// # Errors
    /// When there is no port or no randomness to be had.
    pub async fn start() -> anyhow::Result<Self> {
        let (key, stranger) = (Signer::new()?, Signer::new()?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (jwks, opaque) = (key.jwks().to_string(), Opaque::default());
        let keys = move || async move { ([(CONTENT_TYPE, "application/json")], jwks) };
        let app = Router::new()
            .route("/.well-known/jwks.json", get(keys))
            .route("/introspect", post(introspect))
            .with_state(Arc::clone(&opaque));
        let server = tokio::spawn(async move {
            // Ends with the test.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, key, stranger, opaque, server })
    }

    /// A token for a user, in the name of a tenant.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn token(&self, user: &str, tenant: &str) -> anyhow::Result<String> {
        self.key.signed(&header(), &self.claims(user, tenant)?)
    }

    /// The claims of such a token.
    ///
    /// # Errors
    /// When the clock is wrong.
    pub fn claims(&self, user: &str, tenant: &str) -> anyhow::Result<Value> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        Ok(json!({
            "iss": self.url, "aud": [AUDIENCE], "sub": user, "tenant": tenant,
            "iat": now, "nbf": now, "exp": now + LASTS_S,
        }))
    }

    /// A token of these claims.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn of_claims(&self, claims: &Value) -> anyhow::Result<String> {
        self.key.signed(&header(), claims)
    }

    /// What others would make to pass for that user: with a key of their own, with none, and with the public key as a secret.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn forged(&self, user: &str, tenant: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
        let claims = self.claims(user, tenant)?;
        let unsigned = |alg: &str| text(&json!({ "alg": alg, "typ": "JWT", "kid": KID }), &claims);
        let hs256 = unsigned("HS256");
        let mac = ring::hmac::sign(
            &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.key.key.public_key().as_ref()),
            hs256.as_bytes(),
        );
        let good = self.token(user, tenant)?;
        let (head, signature) = good.rsplit_once('.').ok_or_else(|| anyhow!("no token: {good}"))?;
        let (header, _) = head.split_once('.').ok_or_else(|| anyhow!("no token: {good}"))?;
        let other = URL_SAFE_NO_PAD.encode(self.claims(&format!("{user}x"), tenant)?.to_string());
        Ok(vec![
            ("another's key", self.stranger.signed(&self::header(), &claims)?),
            ("no algorithm", format!("{}.", unsigned("none"))),
            ("the public key as a secret", format!("{hs256}.{}", URL_SAFE_NO_PAD.encode(mac))),
            ("the signature of another token", format!("{header}.{other}.{signature}")),
        ])
    }

    /// Makes an opaque token good, and what it stands for; `None`: good no more.
    pub fn opaque(&self, token: &str, claims: Option<Value>) {
        let mut known = self.opaque.lock();
        match claims {
            Some(claims) => known.insert(token.into(), claims),
            None => known.remove(token),
        };
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// RFC 7662. The token comes as a form's only field, and has no character that a form would spell otherwise.
async fn introspect(State(known): State<Opaque>, form: String) -> impl IntoResponse {
    let token = form.split('&').find_map(|field| field.strip_prefix("token=")).unwrap_or_default();
    let known = known.lock();
    let answer = match known.get(token) {
        Some(claims) => {
            let mut answer = claims.clone();
            answer["active"] = true.into();
            answer
        }
        None => json!({ "active": false }),
    };
    ([(CONTENT_TYPE, "application/json")], answer.to_string())
}

// === impl Signer ===

impl Signer {
    fn new() -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ALGORITHM, &random).map_err(|_| anyhow!("no randomness"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ALGORITHM, key.as_ref(), &random).map_err(|e| anyhow!("no key: {e}"))?;
        Ok(Self { key, random })
    }

    fn jwks(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KID, "x": x, "y": y }] })
    }

    fn signed(&self, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let text = text(header, claims);
        let signature = self.key.sign(&self.random, text.as_bytes()).map_err(|_| anyhow!("it can't be signed"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": KID })
}

fn text(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

//! The first operator, the demo tenant, and the file that says where everything is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream;
use er_event::keys;
use er_tenant::{key_id, key_path, KeyRecord, KEYS_BUCKET, OPERATOR};

use crate::client::Client;

/// Addresses and keys, as `var/demo.env` holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    pub ingest_url: String,
    pub grpc_addr: String,
    pub api_url: String,
    pub metrics_url: String,
    pub nats_url: String,
    pub tenant: String,
    pub api_key: String,
    pub admin_key: String,
}

// === impl Env ===

impl Env {
    /// Reads a file that [`Env::write`] wrote.
    ///
    /// # Errors
    /// A missing file or value, named.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("{} is missing; `make up` writes it", path.display()))?;
        let values: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
        let value = |name: &str| {
            values
                .get(name)
                .map(|value| (*value).to_string())
                .with_context(|| format!("{} has no {name}", path.display()))
        };
        Ok(Self {
            ingest_url: value("ER_INGEST_URL")?,
            grpc_addr: value("ER_GRPC_ADDR")?,
            api_url: value("ER_API_URL")?,
            metrics_url: value("ER_METRICS_URL")?,
            nats_url: value("ER_NATS_URL")?,
            tenant: value("ER_TENANT")?,
            api_key: value("ER_API_KEY")?,
            admin_key: value("ER_ADMIN_KEY")?,
        })
    }

    /// Writes the file for anyone to `source`; it holds keys, so that only its owner may read it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        use std::io::Write as _;
        let text = format!(
            "# Written by `er bootstrap`. Source it: . {}\n\
             export ER_INGEST_URL={}\nexport ER_GRPC_ADDR={}\nexport ER_API_URL={}\nexport ER_METRICS_URL={}\n\
             export ER_NATS_URL={}\nexport ER_TENANT={}\nexport ER_API_KEY={}\nexport ER_ADMIN_KEY={}\n",
            path.display(),
            self.ingest_url,
            self.grpc_addr,
            self.api_url,
            self.metrics_url,
            self.nats_url,
            self.tenant,
            self.api_key,
            self.admin_key,
        );
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let _ = fs::remove_file(path);
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("writing {}", path.display()))?;
        file.write_all(text.as_bytes())?;
        Ok(())
    }

    /// A client in the name of the demo tenant.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.api_url, &self.ingest_url, &self.api_key)
    }
}

/// Makes an operator's key by writing its record into the key bucket: whoever reaches the platform's NATS is the
/// platform. Everything after that goes through the API.
///
/// # Errors
/// When the bucket is not there by the deadline.
pub async fn operator_key(nats_url: &str, deadline: Duration) -> anyhow::Result<String> {
    let nats = async_nats::connect(nats_url).await.with_context(|| format!("no NATS at {nats_url}"))?;
    let js = jetstream::new(nats);
    let started = Instant::now();
    let bucket = loop {
        match js.get_key_value(KEYS_BUCKET).await {
            Ok(bucket) => break bucket,
            Err(error) if started.elapsed() > deadline => {
                return Err(error)
                    .with_context(|| format!("the bucket {KEYS_BUCKET} is not there; the jetstream provider makes it"))
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let key = keys::format(OPERATOR, &secret);
    let hash = keys::hash(&key);
    let record = KeyRecord {
        id: key_id(&hash).to_string(),
        role: keys::Role::Operator,
        name: "bootstrap".into(),
        created: String::new(),
        by: "er bootstrap".into(),
        expires: None,
    };
    bucket.put(key_path(OPERATOR, &hash), serde_json::to_vec(&record)?.into()).await?;
    Ok(key)
}

/// What the first tenant pays.
const PLAN_NAME: &str = "starter";
const PLAN: &str = include_str!("../../../plans/starter.json");

/// Brings the platform from just deployed to usable: an operator, a tenant with a key, the file that tells.
/// Keys that are in the file already and still work are kept. With a gateway, whoever reads the file is sent there; operators
/// need none.
///
/// # Errors
/// Whatever does not come up by the deadline, named.
pub async fn bootstrap(mut env: Env, gateway: Option<&str>, file: &Path, deadline: Duration) -> anyhow::Result<Env> {
    let known = Env::read(file).ok();
    let reuse = |key: &str| {
        known.as_ref().map(|known| match key {
            "admin" => known.admin_key.clone(),
            _ => known.api_key.clone(),
        })
    };
    let inside = Client::new(&env.api_url, &env.ingest_url, "")?;
    inside.wait_healthy(deadline).await?;
    if let Some(gateway) = gateway {
        env.api_url = gateway.to_owned();
        env.ingest_url = gateway.to_owned();
    }
    let outside = Client::new(&env.api_url, &env.ingest_url, "")?;
    outside.wait_healthy(deadline).await?;

    let works = |client: &Client, key: Option<String>, path: &'static str| {
        let client = client.clone();
        async move {
            let key = key?;
            let answer = client.with_key(&key).get(path).await.ok()?;
            answer.status.is_success().then_some(key)
        }
    };
    env.admin_key = match works(&inside, reuse("admin"), "/api/v1/tenants").await {
        Some(key) => key,
        None => operator_key(&env.nats_url, deadline).await?,
    };
    env.api_key = match works(&outside, reuse("api"), "/api/v1/keys").await {
        Some(key) => key,
        None => inside.with_key(&env.admin_key).make_tenant(&env.tenant, "admin").await?,
    };
    let plan = serde_json::from_str(PLAN).context("plans/starter.json")?;
    inside.with_key(&env.admin_key).give_plan(&env.tenant, PLAN_NAME, &plan).await?;
    env.write(file)?;
    env.client()?.wait_ingesting(deadline).await?;
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_and_only_its_owner_may() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("er-env-{}.env", std::process::id()));
        let env = Env {
            ingest_url: "http://127.0.0.1:8080".into(),
            grpc_addr: "127.0.0.1:8081".into(),
            api_url: "http://127.0.0.1:8000".into(),
            metrics_url: "http://127.0.0.1:9464/metrics".into(),
            nats_url: "nats://127.0.0.1:4222".into(),
            tenant: "demo".into(),
            api_key: "er_demo_x".into(),
            admin_key: "er_operator_y".into(),
        };
        env.write(&path).unwrap();
        assert_eq!(Env::read(&path).unwrap(), env);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(path).unwrap();
    }
}

//! The platform's own HTTP interfaces, as a client sees them.

use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use reqwest::StatusCode;
use serde_json::Value;

const POLL: Duration = Duration::from_millis(200);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a tenant is tried to be made: it is known everywhere some seconds after it is.
const MADE_WITHIN: Duration = Duration::from_secs(60);

/// A client of the API and of ingest, in the name of one key.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Base address of the API, without a slash at its end.
    pub api: String,
    /// Where events are posted.
    pub ingest: String,
    key: String,
}

/// An answer: status and body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub content_type: String,
    pub body: String,
}

// === impl Answer ===

impl Answer {
    /// The body as JSON; `null` where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

// === impl Client ===

impl Client {
    /// # Errors
    /// When the HTTP client can't be made.
    pub fn new(api: &str, ingest: &str, key: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(REQUEST_TIMEOUT)
                .pool_max_idle_per_host(128)
                .tcp_nodelay(true)
                .build()?,
            api: api.trim_end_matches('/').to_string(),
            ingest: ingest.trim_end_matches('/').to_string(),
            key: key.to_string(),
        })
    }

    /// The same client in the name of another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_string(), ..self.clone() }
    }

    /// Calls the API: `path` begins with a slash.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::answer(request).await
    }

    /// # Errors
    /// When no answer came.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(reqwest::Method::GET, path, None).await
    }

    /// Posts a body to ingest with these headers.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn post_event(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> anyhow::Result<Answer> {
        let mut request = self.http.post(format!("{}/events", self.ingest)).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::answer(request.body(body)).await
    }

    /// A request to ingest that is built by the caller: path, method, authentication.
    pub fn raw(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// The key, for requests built by hand.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// # Errors
    /// When no answer came.
    pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
        Ok(Answer {
            status: response.status(),
            retry_after: header("retry-after"),
            content_type: header("content-type").unwrap_or_default(),
            body: response.text().await?,
        })
    }

    /// Waits until the API says that it and the parts behind it are up.
    ///
    /// # Errors
    /// The last answer, at the deadline.
    pub async fn wait_healthy(&self, deadline: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let last = match self.get("/healthz").await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > deadline {
                bail!("{}/healthz is not well after {} s: {last}", self.api, deadline.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until ingest takes a batch of no events in the name of this key, which passes every part that an
    /// event would pass up to the stream.
    ///
    /// # Errors
    /// The last answer, at the deadline.
    pub async fn wait_ingesting(&self, deadline: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let headers = [("content-type", "application/cloudevents-batch+json")];
            let last = match self.post_event(&headers, "[]").await {
                Ok(answer) if answer.status == StatusCode::ACCEPTED => return Ok(()),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > deadline {
                bail!("{}/events takes nothing after {} s: {last}", self.ingest, deadline.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is at a path, as JSON.
    ///
    /// # Errors
    /// Any answer besides 200.
    pub async fn read(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.get(path).await?;
        if answer.status != StatusCode::OK {
            bail!("GET {path}: {} {}", answer.status, answer.body);
        }
        Ok(answer.json())
    }

    /// Puts a plan on offer unless there is one of that name, and gives it to a tenant that has none.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn give_plan(&self, tenant: &str, name: &str, plan: &Value) -> anyhow::Result<()> {
        let offer = format!("/api/v1/plans/{name}");
        if self.get(&offer).await?.status == StatusCode::NOT_FOUND {
            let made = self.call(reqwest::Method::PUT, &offer, Some(plan)).await?;
            if !made.status.is_success() {
                bail!("the plan `{name}`: {} {}", made.status, made.body);
            }
        }
        let held = format!("/api/v1/tenants/{tenant}/plan");
        if self.get(&held).await?.status == StatusCode::NOT_FOUND {
            let given = self.call(reqwest::Method::PUT, &held, Some(&serde_json::json!({ "plan": name }))).await?;
            if !given.status.is_success() {
                bail!("giving `{tenant}` the plan `{name}`: {} {}", given.status, given.body);
            }
        }
        Ok(())
    }

    /// Posts to the API, and again while its answer is not for good.
    async fn post_while(&self, later: impl Fn(StatusCode) -> bool, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let started = Instant::now();
        loop {
            let answer = self.call(reqwest::Method::POST, path, Some(body)).await?;
            if !later(answer.status) || started.elapsed() > MADE_WITHIN {
                return Ok(answer);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes a tenant unless it is there, and a key of it.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn make_tenant(&self, tenant: &str, role: &str) -> anyhow::Result<String> {
        let held_up =
            |status: StatusCode| matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        let made =
            self.post_while(held_up, "/api/v1/tenants", &serde_json::json!({ "id": tenant, "name": tenant })).await?;
        if !made.status.is_success() && made.status != StatusCode::CONFLICT {
            bail!("making the tenant `{tenant}`: {} {}", made.status, made.body);
        }
        let key = self
            .post_while(
                // The policy does not know at once of a tenant that is new, and lets nobody into it until then.
                |status| held_up(status) || status == StatusCode::FORBIDDEN,
                &format!("/api/v1/tenants/{tenant}/keys"),
                &serde_json::json!({ "role": role, "name": format!("{tenant} {role}") }),
            )
            .await?;
        let json = key.json();
        json.get("key")
            .and_then(Value::as_str)
            .map(str::to_string)
            .with_context(|| format!("making a key of `{tenant}`: {} {}", key.status, key.body))
    }
}

//! The real Prometheus on a platform: the shipped configuration, with the platform's own ports in it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_deploy::prometheus::{query, Sample};
use reqwest::Method;
use serde_json::Value;

use crate::platform::{free_ports, need, on_path, root, Platform, PROVIDERS};
use crate::wait::until;

const READY_WITHIN: Duration = Duration::from_secs(90);
/// A sample is there at most this long after what it tells of, on a machine that does much else.
pub const SCRAPED_WITHIN: Duration = Duration::from_secs(90);
/// As often as is shipped, and as often as a test has patience for.
const EVERY: (&str, &str) = ("_interval: 5s", "_interval: 1s");

/// A Prometheus that scrapes one platform. It ends when this is dropped, or with the platform.
#[derive(Debug)]
pub struct Prometheus {
    pub url: String,
    client: Client,
    child: Child,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts it, and returns when it scraped every provider.
    ///
    /// # Errors
    /// What is missing, or does not answer in time.
    pub async fn start(platform: &Platform) -> anyhow::Result<Self> {
        let dir = platform.dir().join("prometheus");
        configure(platform, &dir)?;
        let [port] = free_ports()?;
        let log = File::create(platform.dir().join("prometheus.log"))?;
        let child = Command::new(on_path("prometheus", "scripts/setup prometheus")?)
            // Apart from their names: by a path in an argument a platform's guard knows what is its own.
            .args(["--web.listen-address", &format!("127.0.0.1:{port}")])
            .arg("--config.file")
            .arg(dir.join("prometheus.yml"))
            .arg("--storage.tsdb.path")
            .arg(dir.join("data"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting Prometheus")?;
        let url = format!("http://127.0.0.1:{port}");
        let prometheus = Self { url, client: platform.operator.clone(), child };
        prometheus.scraped(READY_WITHIN).await?;
        Ok(prometheus)
    }

    /// What an expression comes to now.
    ///
    /// # Errors
    /// What Prometheus says of it.
    pub async fn query(&self, promql: &str) -> anyhow::Result<Vec<Sample>> {
        query(&self.client, &self.url, promql).await
    }

    /// The one value that an expression comes to.
    ///
    /// # Errors
    /// When it is none, or several.
    pub async fn value(&self, promql: &str) -> anyhow::Result<f64> {
        let samples = self.query(promql).await?;
        ensure!(samples.len() == 1, "{promql} is {} series: {samples:?}", samples.len());
        samples.first().map(|sample| sample.value).context("no series")
    }

    /// Waits until an expression has one value that is as it should be.
    ///
    /// # Errors
    /// What it was last.
    pub async fn becomes(&self, promql: &str, right: impl Fn(f64) -> bool) -> anyhow::Result<f64> {
        until(promql, SCRAPED_WITHIN, || async {
            let value = self.value(promql).await?;
            ensure!(right(value), "it is {value}");
            Ok(Some(value))
        })
        .await
    }

    /// Waits until a histogram has an exemplar of this trace.
    ///
    /// # Errors
    /// Which exemplars it has.
    pub async fn exemplified(&self, histogram: &str, trace: &str) -> anyhow::Result<()> {
        until("an exemplar", SCRAPED_WITHIN, || async {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let (start, end) = ((now - 3_600).to_string(), (now + 60).to_string());
            let asked = [("query", format!("{histogram}_bucket")), ("start", start), ("end", end)];
            let request = self.client.raw(Method::POST, &format!("{}/api/v1/query_exemplars", self.url));
            let said: Value = serde_json::from_str(&Client::answer(request.form(&asked)).await?.body)?;
            let series = said["data"].as_array().with_context(|| format!("no exemplars: {said}"))?;
            let exemplars = series.iter().filter_map(|series| series["exemplars"].as_array()).flatten();
            let mut traces = exemplars.map(|exemplar| &exemplar["labels"]["trace_id"]);
            ensure!(traces.any(|known| known == trace), "{histogram} has none of {trace}: {said}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits until every provider was scraped after now.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn scraped(&self, within: Duration) -> anyhow::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let answering = format!(r#"count(up{{job="eventrunner"}} == 1 and timestamp(up) > {since})"#);
        until("a scrape of every provider", within, || async {
            let count = self.value(&answering).await?;
            ensure!(count == PROVIDERS.len() as f64, "{count} of {} answered", PROVIDERS.len());
            Ok(Some(()))
        })
        .await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // What it stored goes with the platform.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shipped folder with other ports.
fn configure(platform: &Platform, dir: &Path) -> anyhow::Result<()> {
    let shipped = root().join("deploy/prometheus");
    need(&shipped.join("prometheus.yml"), "git checkout deploy/prometheus")?;
    let mut text = fs::read_to_string(shipped.join("prometheus.yml"))?;
    for (part, port) in PROVIDERS {
        let addr = platform.metrics(part)?.trim_start_matches("http://").trim_end_matches("/metrics");
        let shipped = format!("127.0.0.1:{port}]");
        ensure!(text.contains(&shipped), "prometheus.yml does not scrape {part} on {shipped}");
        text = text.replace(&shipped, &format!("{addr}]"));
    }
    ensure!(text.contains(EVERY.0), "prometheus.yml has no `{}`", EVERY.0);
    fs::create_dir_all(dir.join("rules"))?;
    fs::write(dir.join("prometheus.yml"), text.replace(EVERY.0, EVERY.1))?;
    for file in fs::read_dir(shipped.join("rules"))? {
        let file = file?;
        fs::copy(file.path(), dir.join("rules").join(file.file_name()))?;
    }
    Ok(())
}

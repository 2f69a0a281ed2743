//! Questions to a Prometheus server, over its HTTP API.

use std::collections::BTreeMap;

use anyhow::{ensure, Context as _};
use serde::Deserialize;

use crate::client::Client;

/// One series of an answer, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// When, and how much.
    value: (f64, String),
}

// === impl Sample ===

impl Sample {
    /// Its labels' values, the metric's name left out.
    #[must_use]
    pub fn label(&self) -> String {
        let values = self.labels.iter().filter(|(name, _)| *name != "__name__").map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    }
}

/// What an expression comes to now, series by series. `client` is for its connections only; no key is sent.
///
/// # Errors
/// What Prometheus says of the expression, or that it can't be reached.
pub async fn query(client: &Client, prometheus: &str, promql: &str) -> anyhow::Result<Vec<Sample>> {
    let request = client.raw(reqwest::Method::POST, &format!("{prometheus}/api/v1/query"));
    let answer = Client::answer(request.form(&[("query", promql)])).await.context("asking Prometheus")?;
    let said: Answer = serde_json::from_str(&answer.body)
        .with_context(|| format!("{prometheus} answered {}: {}", answer.status, answer.body))?;
    ensure!(said.error.is_none(), "{promql}: {}", said.error.unwrap_or_default());
    let series = said.data.with_context(|| format!("{promql}: no data in {}", answer.body))?.result;
    series
        .into_iter()
        .map(|Series { metric, value: (_, value) }| {
            Ok(Sample { labels: metric, value: value.parse().with_context(|| format!("{promql}: {value}"))? })
        })
        .collect()
}

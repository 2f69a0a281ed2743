//! Keto's HTTP API, as much of it as is needed here.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use serde::Deserialize;

use super::tuples::{Change, Tuple, NAMESPACES};

const TIMEOUT: Duration = Duration::from_secs(5);
const PAGE: &str = "500";
/// Changes told at once.
const CHANGES_MAX: usize = 500;
/// Tuples that are read; with more there something else writes into Keto.
const TUPLES_MAX: usize = 1_000_000;

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    read_url: String,
    write_url: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    relation_tuples: Vec<Tuple>,
    #[serde(default)]
    next_page_token: String,
}

// === impl Client ===

impl Client {
    /// Of a Keto that is asked and told at these addresses.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(read_url: &str, write_url: &str) -> anyhow::Result<Self> {
        let address = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Self {
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            read_url: address(read_url),
            write_url: address(write_url),
        })
    }

    /// Every tuple of ours.
    ///
    /// # Errors
    /// Why it can't be told.
    pub async fn tuples(&self) -> anyhow::Result<BTreeSet<Tuple>> {
        let mut all = BTreeSet::new();
        for namespace in NAMESPACES {
            let mut token = String::new();
            loop {
                let query = [("namespace", namespace), ("page_size", PAGE), ("page_token", &token)];
                let request = self.http.get(format!("{}/relation-tuples", self.read_url)).query(&query);
                let page: Page = answer(request).await?.json().await.context("a page of relation tuples")?;
                all.extend(page.relation_tuples);
                ensure!(all.len() <= TUPLES_MAX, "more than {TUPLES_MAX} relation tuples are there");
                if page.next_page_token.is_empty() {
                    break;
                }
                token = page.next_page_token;
            }
        }
        Ok(all)
    }

    /// Tells Keto these changes. Each may be told again.
    ///
    /// # Errors
    /// Why it can't be told.
    pub async fn change(&self, changes: &[Change]) -> anyhow::Result<()> {
        for changes in changes.chunks(CHANGES_MAX) {
            answer(self.http.patch(format!("{}/admin/relation-tuples", self.write_url)).json(changes)).await?;
        }
        Ok(())
    }
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
    let answer = request.send().await?;
    if !answer.status().is_success() {
        bail!("{} answered {}: {}", answer.url().clone(), answer.status(), answer.text().await.unwrap_or_default());
    }
    Ok(answer)
}

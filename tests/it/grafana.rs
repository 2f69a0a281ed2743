//! Every query of every panel, on a Prometheus and a ClickHouse engine that hold what really happened.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_analytics::Analytics;
use er_deploy::client::Client;
use er_metering::{Invoice, Time, Window};
use er_provider_clickhouse::{ClickHouse, Server as Address};
use er_testkit::analytics::{insert_until_in, options};
use er_testkit::clickhouse::Server;
use er_testkit::platform::root;
use er_testkit::usage::{collected, lines};
use er_testkit::{until, Platform, Tenant};
use reqwest::Method;
use serde_json::{json, Value};

use crate::metrics::unknown;
use crate::support::now_us;
use crate::watched::Watched;

const DATABASE: &str = "eventrunner";
const SERVER: &str = "stores::is_the_clickhouse_server_if_asked";
const FOUND_WITHIN: Duration = Duration::from_secs(15);
const OR_NOTHING: &str = " or vector(0)";
/// What panels show as nothing where it did not happen, for it takes a fault.
const RARE: [&str; 6] = [
    "ALERTS",
    "eventrunner_delivery_policy_waits_total",
    "eventrunner_policy_failures_total",
    "eventrunner_store_puts_refused_total",
    "eventrunner_stream_publish_errors_total",
    "eventrunner_tenant_paused_consumers",
];

/// A query of a panel, or of a variable.
#[derive(Debug)]
struct Query {
    place: String,
    text: Text,
}

#[derive(Debug)]
enum Text {
    PromQl(String),
    Sql(String),
}

fn dashboards() -> anyhow::Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for file in fs::read_dir(root().join("deploy/grafana/dashboards"))? {
        let path = file?.path();
        let name = path.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        all.push((name, serde_json::from_str(&fs::read_to_string(&path)?)?));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    ensure!(all.len() == 5, "{} dashboards", all.len());
    Ok(all)
}

fn queries() -> anyhow::Result<Vec<Query>> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards()? {
        for panel in dashboard["panels"].as_array().context("no panels")? {
            if panel["type"] == "row" {
                continue;
            }
            let place = format!("{name}: {}", panel["title"]);
            let targets = panel["targets"].as_array().with_context(|| place.clone())?;
            ensure!(!targets.is_empty(), "{place} asks nothing");
            for target in targets {
                let text = match (target["expr"].as_str(), target["rawSql"].as_str()) {
                    (Some(promql), None) => Text::PromQl(promql.to_owned()),
                    (None, Some(sql)) => Text::Sql(sql.to_owned()),
                    _ => bail!("{place}: {target}"),
                };
                all.push(Query { place: place.clone(), text });
            }
        }
        for variable in dashboard["templating"]["list"].as_array().context("no list of variables")? {
            let sql = variable["query"].as_str().with_context(|| variable.to_string())?;
            all.push(Query { place: format!("{name}: ${}", variable["name"]), text: Text::Sql(sql.to_owned()) });
        }
    }
    ensure!(all.len() > 80, "{} queries", all.len());
    Ok(all)
}

/// Gives the tenant the plan whose prices the dashboard has, from the begin of this month, so that the whole fee is due.
pub async fn subscribe(tenant: &Tenant) -> anyhow::Result<()> {
    let plan: Value = serde_json::from_str(&fs::read_to_string(root().join("plans/starter.json"))?)?;
    let month = Window::Month.start(Time::from_us(now_us())?);
    let change = json!({ "plan": plan, "effective_from": month.to_string() });
    let path = format!("/api/v1/tenants/{}/plan", tenant.id);
    let answer = tenant.operator.call(Method::PUT, &path, Some(&change)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(())
}

/// Runs all of them, as Grafana would for the watched shop.
pub async fn every_panel_has_data(platform: &Arc<Platform>, watched: &Watched) -> anyhow::Result<()> {
    let (server, cost) = usage_in_clickhouse(platform, watched).await?;
    let client = &watched.shop.client;
    let mut bare = Vec::new();
    for query in queries()? {
        let found = match &query.text {
            Text::PromQl(promql) => {
                let promql = filled_in(promql, &watched.shop.id)?;
                // A rate needs two scrapes of what happened just now.
                let asked = until(&query.place, FOUND_WITHIN, || async {
                    let samples = watched.prometheus.query(&promql).await?;
                    Ok(samples.iter().any(|sample| !sample.value.is_nan()).then_some(()))
                });
                asked.await.is_ok()
            }
            Text::Sql(sql) => {
                let sql = sql_filled_in(sql, &watched.shop.id)?;
                let rows = select(client, server.url(), &sql).await.with_context(|| query.place.clone())?;
                rows.lines().any(|row| row.split('\t').any(|cell| !["", "0", "\\N", "nan"].contains(&cell)))
            }
        };
        if !found {
            bare.push(query);
        }
    }
    ensure!(bare.is_empty(), "{} queries found nothing: {bare:#?}", bare.len());
    costs_what_the_invoice_says(client, &server, &watched.shop.id, cost).await
}

/// The usage records of the platform, all of them and as they are in its stream, in a ClickHouse with the schema of the
/// provider; and what the shop's invoice came to when they were copied.
async fn usage_in_clickhouse(platform: &Arc<Platform>, watched: &Watched) -> anyhow::Result<(Server, f64)> {
    collected(platform, &watched.shop).await?;
    let server = Server::start(SERVER, None)?;
    let address = Address { url: server.url().to_owned(), database: DATABASE.into(), user: None, password: None };
    let analytics = Analytics::start(ClickHouse::new(&address), options());
    for text in lines(platform, ">").await? {
        insert_until_in(&analytics, &text).await?;
    }
    analytics.close().await;
    let draft = watched.shop.client.read(&format!("/api/v1/invoice/{}", watched.shop.id)).await?;
    let draft: Invoice = serde_json::from_value(draft)?;
    Ok((server, draft.total_minor as f64 / 100.0))
}

async fn costs_what_the_invoice_says(client: &Client, server: &Server, tenant: &str, cost: f64) -> anyhow::Result<()> {
    let (_, dashboard) = dashboards()?.into_iter().find(|(name, _)| name == "tenant").context("no tenant's")?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let panel = panels.iter().find(|panel| panel["title"] == "Cost of this month").context("no cost")?;
    let sql = panel["targets"][0]["rawSql"].as_str().context("no query")?;
    let shown: f64 = select(client, server.url(), &sql_filled_in(sql, tenant)?).await?.trim().parse()?;
    ensure!((shown - cost).abs() < 0.02 && cost > 5.0, "the dashboard shows {shown}, the invoice says {cost}");
    Ok(())
}

fn filled_in(promql: &str, tenant: &str) -> anyhow::Result<String> {
    // Or it would have data whatever it asks.
    let rare = RARE.iter().any(|rare| promql.contains(rare));
    ensure!(rare || !promql.contains(OR_NOTHING), "{promql}: that is no rare thing");
    let filled = promql.replace("$__rate_interval", "5m").replace("$tenant", tenant);
    ensure!(!filled.contains('$'), "{filled}: something was left");
    Ok(filled)
}

/// The macros of Grafana's ClickHouse source, for the last hour.
fn sql_filled_in(sql: &str, tenant: &str) -> anyhow::Result<String> {
    let mut filled = sql.replace("${tenant:sqlstring}", &format!("'{tenant}'"));
    for (name, text) in [
        ("$__timeFilter(", "COLUMN >= now('UTC') - INTERVAL 1 HOUR AND COLUMN <= now('UTC')"),
        ("$__timeInterval(", "toStartOfInterval(toDateTime(COLUMN), INTERVAL 10 second)"),
    ] {
        while let Some(begin) = filled.find(name) {
            let column =
                filled.get(begin + name.len()..).and_then(|rest| rest.split(')').next()).context("no column")?;
            let (whole, column) = (format!("{name}{column})"), column.to_owned());
            filled = filled.replace(&whole, &text.replace("COLUMN", &column));
        }
    }
    ensure!(!filled.contains('$'), "{filled}: something was left");
    Ok(filled)
}

async fn select(client: &Client, url: &str, sql: &str) -> anyhow::Result<String> {
    let url = format!("{url}/?database={DATABASE}&default_format=TabSeparated");
    let answer = Client::answer(client.raw(Method::POST, &url).body(sql.to_owned())).await?;
    ensure!(answer.status == 200, "{sql}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

// === what is written ===

#[test]
fn dashboards_are_as_they_would_be_written_anew() -> anyhow::Result<()> {
    let checked = Command::new("python3").arg(root().join("deploy/grafana/generate")).arg("--check").output()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

#[test]
fn panels_ask_sources_that_are_provisioned_for_metrics_that_there_are() -> anyhow::Result<()> {
    let file = root().join("deploy/grafana/provisioning/datasources/eventrunner.yaml");
    let sources: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(file)?)?;
    let sources = sources["datasources"].as_sequence().context("no sources")?;
    let known: BTreeSet<(Option<&str>, Option<&str>)> =
        sources.iter().map(|source| (source["type"].as_str(), source["uid"].as_str())).collect();
    for (name, dashboard) in dashboards()? {
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().context("no panels")? {
            ensure!(ids.insert(panel["id"].as_u64()), "{name}: two panels are {}", panel["id"]);
            for target in panel["targets"].as_array().into_iter().flatten() {
                let source = &target["datasource"];
                let source = (source["type"].as_str(), source["uid"].as_str());
                ensure!(known.contains(&source), "{name}: {} asks {source:?}", panel["title"]);
            }
        }
    }
    for query in queries()? {
        if let Text::PromQl(promql) = &query.text {
            let missing = unknown(&promql.replace("$tenant", ""))?;
            ensure!(missing.is_empty(), "{}: {missing:?}", query.place);
            filled_in(promql, "acme")?;
        }
    }
    Ok(())
}

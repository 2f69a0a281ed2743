//! What a platform tells of itself: every metric as it is documented, what Prometheus makes of them, and that each alert
//! says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_provider_kit::metrics::{documented, Documented};
use er_testkit::platform::root;
use er_testkit::usage::collected;
use er_testkit::{Options, Platform};
use reqwest::Method;
use serde_json::Value;

use crate::grafana;
use crate::support::on_its_own;
use crate::watched::Watched;

/// What Prometheus and its client libraries have themselves.
const OTHERS: [&str; 3] = ["up", "ALERTS", "process_"];

#[test]
fn what_clients_do_is_what_metrics_rules_and_every_panel_tell() -> anyhow::Result<()> {
    let options = Options { sets: vec!["jetstream.backlog_every_ms=500".into()], ..Options::default() };
    on_its_own(&options, |platform| async move {
        let mut watched = Watched::start(&platform).await?;
        grafana::subscribe(&watched.shop).await?;
        watched.round().await?;
        watched.round().await?;
        tells_what_was_done(&platform, &watched).await?;
        tells_who_waits(&mut watched).await?;
        tells_only_what_is_documented(&platform).await?;
        rules_and_alerts_work(&watched).await?;
        grafana::every_panel_has_data(&platform, &watched).await?;
        watched.end().await
    })
}

/// Counters come to what clients counted, to the unit.
async fn tells_what_was_done(platform: &Arc<Platform>, watched: &Watched) -> anyhow::Result<()> {
    let (prometheus, done) = (&watched.prometheus, &watched.done);
    let used = collected(platform, &watched.shop).await?;
    let evaluated = used.get("rule_evaluations").copied().unwrap_or_default();
    let dead = |stage: &str| format!(r#"sum(eventrunner_pipeline_dead_letters_total{{stage="{stage}"}})"#);
    let dropped = r#"sum(eventrunner_pipeline_events_dropped_total{reason="dropped", intentional="true"})"#;
    let (by_rules, in_delivery) = (dead("rules"), dead("deliver"));
    let wanted = [
        ("sum(eventrunner_ingest_events_total)", done.received),
        (dropped, done.dropped),
        (&*by_rules, done.dead_by_rules),
        (&*in_delivery, done.dead_in_delivery),
        ("sum(eventrunner_rules_events_emitted_total)", done.emitted_by_rules),
        // The shop alone has rules, and its invoice says how many.
        ("sum(eventrunner_rules_evaluations_total)", usize::try_from(evaluated)?),
        ("sum(eventrunner_redelivery_redriven_total)", done.redriven),
        ("sum(eventrunner_redelivery_discarded_total)", done.discarded),
        ("sum(eventrunner_redelivery_replayed_total)", done.replayed),
        (r#"sum(eventrunner_ingest_shed_total{reason="quota"})"#, done.limited),
        (r#"sum(eventrunner_ingest_requests_total{status="429"})"#, done.limited),
        (r#"sum(eventrunner_control_deployments_total{outcome="done"})"#, 2),
    ];
    for (promql, count) in wanted {
        ensure!(count > 0, "{promql}: nothing was done");
        prometheus.becomes(promql, |value| value == count as f64).await?;
    }
    // What had to pass all of it left its time on the way.
    let store = prometheus.value("sum(eventrunner_engine_ingest_to_store_seconds_count)").await?;
    let consumer = prometheus.value("sum(eventrunner_delivery_ingest_to_consumer_seconds_count)").await?;
    ensure!(store > 0.0 && consumer > 0.0, "{store} and {consumer} batches");
    let put = prometheus.value("sum(eventrunner_store_events_put_total)").await?;
    ensure!(put >= done.received as f64, "{put} events stored of {}", done.received);
    Ok(())
}

/// What waits is told of whom it is, while it does.
async fn tells_who_waits(watched: &mut Watched) -> anyhow::Result<()> {
    let tenant = watched.shop.id.clone();
    let pending = format!(r#"sum(eventrunner_tenant_pending_messages{{stream="ER_EVENTS", tenant="{tenant}"}})"#);
    let lag = format!(r#"max(eventrunner_tenant_lag_seconds{{stream="ER_EVENTS", tenant="{tenant}"}})"#);
    let held = format!(r#"sum(eventrunner_tenant_paused_consumers{{tenant="{tenant}"}}) or vector(0)"#);
    watched.prometheus.becomes(&pending, |messages| messages == 0.0).await?;
    watched.hold(true).await?;
    watched.prometheus.becomes(&held, |consumers| consumers == 1.0).await?;
    watched.sell_one("waits").await?;
    watched.prometheus.becomes(&pending, |messages| messages >= 1.0).await?;
    watched.prometheus.becomes(&lag, |seconds| seconds > 0.0).await?;
    let by_owner = r#"max(eventrunner_delivery_paused_consumers{by="owner"})"#;
    watched.prometheus.becomes(by_owner, |consumers| consumers == 1.0).await?;
    watched.hold(false).await?;
    watched.prometheus.becomes(&pending, |messages| messages == 0.0).await?;
    watched.prometheus.becomes(&held, |consumers| consumers == 0.0).await?;

    watched.strike().await?;
    let paused = r#"count(ALERTS{alertname="ConsumerPaused"})"#;
    watched.prometheus.becomes(paused, |alerts| alerts == 1.0).await?;
    Ok(())
}

/// Every provider's metrics, one by one: name, type and labels.
async fn tells_only_what_is_documented(platform: &Platform) -> anyhow::Result<()> {
    let known: BTreeMap<&str, Documented> = documented().map(|metric| (metric.name, metric)).collect();
    let mut told = BTreeSet::new();
    for url in &platform.metrics_urls {
        let answer = Client::answer(platform.operator.raw(Method::GET, url)).await?;
        ensure!(answer.status == 200, "{url}: {}", answer.status);
        let mut kinds = BTreeMap::new();
        for line in answer.body.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
                kinds.insert(name, kind);
            }
        }
        for line in answer.body.lines().filter(|line| line.starts_with("eventrunner_")) {
            let series = line.rsplit_once(' ').context("a line without a value")?.0;
            let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = family.filter(|family| kinds.get(family) == Some(&"histogram")).unwrap_or(name);
            let metric = known.get(family).with_context(|| format!("{family} of {url} is not in docs/metrics.md"))?;
            ensure!(kinds.get(family) == Some(&metric.kind), "{family} is no {}: {:?}", metric.kind, kinds.get(family));
            for (label, _) in labels.split(',').filter_map(|label| label.split_once('=')) {
                let own = label == "le" && metric.kind == "histogram";
                ensure!(own || metric.labels.contains(&label), "{family} has a label {label}: {line}");
            }
            told.insert(metric.name);
        }
        ensure!(answer.body.contains("process_resident_memory_bytes "), "{url} tells nothing of its process");
    }
    // Faults, other stores and what only operators do leave the rest.
    ensure!(told.len() * 3 > known.len() * 2, "only {} of {} were told: {told:?}", told.len(), known.len());
    Ok(())
}

/// No rule has an error on what is really there, and each records something.
async fn rules_and_alerts_work(watched: &Watched) -> anyhow::Result<()> {
    let url = format!("{}/api/v1/rules", watched.prometheus.url);
    let answer = Client::answer(watched.shop.client.raw(Method::GET, &url)).await?.json();
    let groups = answer["data"]["groups"].as_array().context("no groups")?;
    let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    ensure!(rules.len() > 30, "{} rules", rules.len());
    for rule in rules {
        let name = rule["name"].as_str().context("a rule without a name")?;
        ensure!(rule["health"] == "ok", "{name}: {rule}");
        // What records publishes that failed has nothing to record here.
        if rule["type"] == "recording" && name != "stream:publish_errors:rate5m" {
            watched.prometheus.becomes(&format!("count({name})"), |series| series > 0.0).await?;
        }
    }
    Ok(())
}

// === what is written ===

/// Of a file of rules: every rule.
fn rules(file: &str) -> anyhow::Result<Vec<serde_yaml::Value>> {
    let text = fs::read_to_string(root().join("deploy/prometheus/rules").join(file))?;
    let read: serde_yaml::Value = serde_yaml::from_str(&text)?;
    let groups = read["groups"].as_sequence().context("no groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_sequence()).flatten().cloned().collect())
}

fn text<'a>(rule: &'a serde_yaml::Value, name: &str) -> anyhow::Result<&'a str> {
    rule[name].as_str().with_context(|| format!("no `{name}` in {rule:?}"))
}

#[test]
fn each_alert_has_a_section_that_says_what_to_do_and_each_section_an_alert() -> anyhow::Result<()> {
    let operating = fs::read_to_string(root().join("docs/OPERATING.md"))?;
    let (_, runbook) = operating.split_once("\n## When an alert fires\n").context("no runbook")?;
    let (runbook, _) = runbook.split_once("\n## ").unwrap_or((runbook, ""));
    let sections: BTreeMap<&str, &str> =
        runbook.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules("alerts.yml")? {
        let name = text(&rule, "alert")?.to_owned();
        let runbook = text(&rule["annotations"], "runbook")?;
        ensure!(runbook == format!("docs/OPERATING.md#{}", name.to_lowercase()), "{name}: {runbook}");
        ensure!(["page", "ticket"].contains(&text(&rule["labels"], "severity")?), "{name}");
        ensure!(text(&rule["annotations"], "summary")?.ends_with('.'), "{name}");
        let said = sections.get(&*name).with_context(|| format!("{name} has no section"))?;
        ensure!(said.len() > 150, "{name}: {said}");
        alerts.insert(name);
    }
    let named: BTreeSet<String> = sections.keys().map(|name| (*name).to_owned()).collect();
    ensure!(alerts == named, "{:?}", alerts.symmetric_difference(&named));
    Ok(())
}

#[test]
fn each_alert_has_a_test_in_which_it_is_quiet_and_fires() -> anyhow::Result<()> {
    let mut quiet = BTreeSet::new();
    let mut fires = BTreeSet::new();
    for file in fs::read_dir(root().join("deploy/prometheus/tests"))? {
        let read: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(file?.path())?)?;
        let tests = read["tests"].as_sequence().context("no tests")?;
        for test in tests.iter().filter_map(|test| test["alert_rule_test"].as_sequence()).flatten() {
            let expected = test["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty());
            let name = text(test, "alertname")?.to_owned();
            if expected { &mut fires } else { &mut quiet }.insert(name);
        }
    }
    let alerts: BTreeSet<String> =
        rules("alerts.yml")?.iter().map(|rule| Ok(text(rule, "alert")?.to_owned())).collect::<anyhow::Result<_>>()?;
    ensure!(alerts == quiet && alerts == fires, "quiet {quiet:?}, fires {fires:?}");
    Ok(())
}

/// Names in an expression that are no metric of ours, of a rule, or of Prometheus.
pub fn unknown(promql: &str) -> anyhow::Result<Vec<String>> {
    let mut known: BTreeSet<String> = documented().map(|metric| metric.name.to_owned()).collect();
    for rule in rules("recording.yml")? {
        known.insert(text(&rule, "record")?.to_owned());
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = promql.split(|c| !word(c)).filter(|name| name.starts_with("eventrunner_") || name.contains(':'));
    let series = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).map(str::to_owned)
    };
    let missing = names.filter(|name| {
        let other = OTHERS.iter().any(|other| name.starts_with(other));
        !other && !known.contains(*name) && !series(name).is_some_and(|family| known.contains(&family))
    });
    Ok(missing.map(str::to_owned).collect())
}

#[test]
fn rules_ask_for_metrics_that_there_are() -> anyhow::Result<()> {
    for rule in rules("recording.yml")?.iter().chain(&rules("alerts.yml")?) {
        let expr = text(rule, "expr")?;
        let missing = unknown(expr)?;
        ensure!(missing.is_empty(), "{expr}: {missing:?}");
    }
    ensure!(unknown("sum(eventrunner_nothing_total) + up")? == ["eventrunner_nothing_total"]);
    Ok(())
}

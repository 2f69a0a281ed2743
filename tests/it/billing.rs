//! Usage to the unit, and the money that comes out of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_metering::{Invoice, Meter, Time, Window};
use er_provider_kit::codec::{Decoder, Encoder};
use er_provider_kit::Caller;
use er_testkit::usage::{collected, told, Sums};
use er_testkit::{until, Component, Platform, Tenant};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{
    accepted, alone, event, live, post, refused, save_rules, send, shared, stored, text, BATCH, STORED_WITHIN,
};

/// A month is closed an hour after its end.
const HOUR_US: i64 = 3_600_000_000;
const CLOSE_WITHIN: Duration = Duration::from_secs(60);
const BILLING: &str = "eventrunner-billing";
const COLLECTOR: &str = "eventrunner:platform/collector@0.1.0";

/// Waits until all that is stored is metered, each once: both.
async fn all_metered(platform: &Platform, tenant: &Tenant) -> anyhow::Result<(Vec<String>, Sums)> {
    until("what is stored to be metered, each once", STORED_WITHIN * 2, || async {
        let (all, sums) = (tenant.events("").await?, collected(platform, tenant).await?);
        ensure!(of(&sums, "events_in") == all.len() as u64, "{} are stored: {sums:?}", all.len());
        Ok(Some((all, sums)))
    })
    .await
}

/// Counts, from now on, events that calls of a tenant's consumers did not take: they come again, and each time is a
/// delivery.
async fn failures(platform: &Platform, tenant: &Tenant) -> anyhow::Result<Arc<AtomicU64>> {
    let nats = platform.nats().await?;
    let mut reports = nats.subscribe(format!("er.report.delivery.{}", tenant.id)).await?;
    nats.flush().await?;
    let failed = Arc::<AtomicU64>::default();
    let sum = Arc::clone(&failed);
    tokio::spawn(async move {
        while let Some(report) = reports.next().await {
            let report: Value = serde_json::from_slice(&report.payload).unwrap_or_default();
            sum.fetch_add(report["failed"].as_u64().unwrap_or_default(), Ordering::Relaxed);
        }
    });
    Ok(failed)
}

fn of(sums: &Sums, meter: &str) -> u64 {
    sums.get(meter).copied().unwrap_or_default()
}

/// 1.00 a month, the first ten events free and 0.01 for each further one, 0.001 a delivery.
fn plan(name: &str) -> Value {
    json!({
        "name": name, "currency": "USD", "monthly_fee": "1.00",
        "charges": [
            {"meter": "events_in", "free": 10, "price": {"per_unit": {"amount": "0.01"}}},
            {"meter": "deliveries", "price": {"per_unit": {"amount": "0.001"}}},
        ]
    })
}

/// Gives the tenant a plan from the begin of this month, so that a whole fee is due.
async fn subscribe(tenant: &Tenant) -> anyhow::Result<()> {
    let month = Window::Month.start(now()?);
    let change = json!({ "plan": plan("Test"), "effective_from": month.to_string() });
    let path = format!("/api/v1/tenants/{}/plan", tenant.id);
    let answer = tenant.operator.call(Method::PUT, &path, Some(&change)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(())
}

fn now() -> anyhow::Result<Time> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Time::from_us(i64::try_from(since.as_micros())?)?)
}

async fn invoice(tenant: &Tenant, id: &str) -> anyhow::Result<Invoice> {
    let document = tenant.client.read(&format!("/api/v1/invoice/{}{id}", tenant.id)).await?;
    Ok(serde_json::from_value(document)?)
}

/// Asks billing, as the jetstream provider does, to close what was over by then, until it has nothing left to do.
async fn close(platform: &Platform, settled: Time) -> anyhow::Result<()> {
    let caller = Caller::new(platform.nats().await?, "default", "er-it").await?;
    until("months to be closed", CLOSE_WITHIN, || async {
        let params = Encoder::default().unsigned(settled.us().unsigned_abs()).finish();
        let answer = caller.call(BILLING, COLLECTOR, "close", params, CLOSE_WITHIN).await?;
        let mut answer = Decoder::new(&answer);
        if !answer.is_ok()? {
            answer.byte()?;
            anyhow::bail!("{}", answer.string()?);
        }
        Ok((answer.unsigned()? == 0).then_some(()))
    })
    .await
}

#[test]
fn every_meter_counts_to_the_unit() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("metered").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[("memory_mib", "48")]).await?;
        let failed = failures(&platform, &tenant).await?;
        let events: Vec<String> =
            (0..300).map(|n| event("/metered", &n.to_string(), "test.metered", &format!("{{\"n\":{n}}}"))).collect();
        let ids: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        // In one request, in many, and some of them again.
        accepted(&post(&tenant.client, BATCH, format!("[{}]", events[..200].join(","))).await?, &ids[..200])?;
        for id in &ids[200..] {
            send(&tenant, "/metered", id, "test.metered", &format!("{{\"n\":{id}}}")).await?;
        }
        for n in [0, 150, 250] {
            stored(&tenant, "/metered", ids[n]).await?;
        }
        accepted(&post(&tenant.client, BATCH, format!("[{}]", events[100..250].join(","))).await?, &ids[100..250])?;
        for id in &ids {
            stored(&tenant, "/metered", id).await?;
        }
        let bytes = |events: &[String]| events.iter().map(|event| event.len() as u64).sum::<u64>();
        let sums = until("300 events to be metered", STORED_WITHIN, || async {
            let sums = told(&tenant).await?;
            let deliveries = 300 + failed.load(Ordering::Relaxed);
            ensure!(of(&sums, "events_out") == 300 && of(&sums, "deliveries") == deliveries, "{deliveries}: {sums:?}");
            Ok(Some(sums))
        })
        .await?;
        // What was let in lies in the store as it came. The consumer emits an event for each call, and those came in too.
        let ours = tenant.events("source=/metered").await?;
        ensure!(of(&sums, "bytes_out") == bytes(&ours), "{} bytes were taken: {sums:?}", bytes(&ours));
        // The last of those may be stored, and not metered yet.
        let (all, sums) = all_metered(&platform, &tenant).await?;
        ensure!(ours.len() == 300, "{} of 300", ours.len());
        ensure!(of(&sums, "bytes_in") == bytes(&all), "{} bytes were let in: {sums:?}", bytes(&all));
        ensure!(of(&sums, "rule_evaluations") == 0, "there are no rules: {sums:?}");
        ensure!(of(&sums, "memory_mib_us") == 48 * of(&sums, "consumer_us"), "48 MiB for that time: {sums:?}");
        platform.retire(&consumer).await
    })
}

#[test]
fn rules_count_once_for_each_event_that_they_are_run_on() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("ruled-usage").await?;
        let rules = r#"
            rule Noise { when Event.type == "noise" then Drop("noise"); Retract("Noise"); }
            rule Late { when Event.type == "late" then DeadLetter("late"); Retract("Late"); }
            rule Copy { when Event.type == "copy" then Emit("copied", Event.data); Retract("Copy"); }
        "#;
        let version = save_rules(&tenant, "all", rules).await?;
        live(&tenant, version).await?;
        let (_, before) = all_metered(&platform, &tenant).await?;
        for (id, ty) in [("1", "plain"), ("2", "noise"), ("3", "late"), ("4", "copy")] {
            send(&tenant, "/ruled", id, ty, "1").await?;
        }
        stored(&tenant, "/ruled", "4").await?;
        // The same again: it has been evaluated, and paid for.
        send(&tenant, "/ruled", "4", "copy", "1").await?;
        send(&tenant, "/ruled", "5", "plain", "1").await?;
        stored(&tenant, "/ruled", "5").await?;
        let grown = until("the rules to be metered", STORED_WITHIN, || async {
            let now = told(&tenant).await?;
            let grown = |meter| of(&now, meter) - of(&before, meter);
            Ok((grown("events_in") >= 5).then(|| (grown("events_in"), grown("rule_evaluations"))))
        })
        .await?;
        // Three rules on each of five events, and on the copy that was made.
        ensure!(grown == (5, 18), "events and evaluations: {grown:?}");
        collected(&platform, &tenant).await.map(|_| ())
    })
}

#[test]
fn a_draft_says_what_usage_says_and_both_proofs_agree() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("billed").await?;
        let no_plan = tenant.client.get(&format!("/api/v1/invoice/{}", tenant.id)).await?;
        refused(&no_plan, 404, "not-found")?;
        subscribe(&tenant).await?;
        let batch: Vec<String> = (0..25).map(|n| event("/billed", &n.to_string(), "test.billed", "1")).collect();
        let ids: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        accepted(&post(&tenant.client, BATCH, format!("[{}]", batch.join(","))).await?, &ids)?;
        stored(&tenant, "/billed", "24").await?;
        let draft = until("25 events on the draft", STORED_WITHIN, || async {
            let draft = invoice(&tenant, "").await?;
            Ok((draft.total_minor > 100).then_some(draft))
        })
        .await?;
        ensure!(draft.total_minor == 115, "1.00 and 15 events at 0.01: {}", draft.to_json());
        let billed: i64 = draft
            .lines
            .iter()
            .filter(|line| line.meter == Some(Meter::EventsIn))
            .filter_map(|line| line.quantity)
            .sum();
        ensure!(billed == 25, "free ones and others: {}", draft.to_json());
        let proof = tenant.client.read(&format!("/api/v1/invoice/{}/{}/proof", tenant.id, draft.id)).await?;
        ensure!(proof["analytics"] == json!([]) && proof["stream"] == json!([]), "{proof}");
        let csv = tenant.client.get(&format!("/api/v1/invoice/{}?format=csv", tenant.id)).await?;
        ensure!(csv.content_type.starts_with("text/csv") && csv.body.lines().count() == 4, "{}", csv.body);
        let page = tenant.client.get(&format!("/api/v1/usage/{}?format=html&window=minute", tenant.id)).await?;
        ensure!(page.content_type.starts_with("text/html") && page.body.contains("events_in"), "{}", page.body);
        Ok(())
    })
}

#[test]
fn nobody_sees_anybody_elses_usage_or_money() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (ours, theirs) = (platform.tenant("ours").await?, platform.tenant("theirs").await?);
        subscribe(&ours).await?;
        let viewer = ours.key("viewer").await?.client;
        let publisher = ours.key("publisher").await?.client;
        let look = |client: Client, path: String| async move { client.get(&path).await };
        for noun in ["usage", "invoice", "invoices"] {
            let path = format!("/api/v1/{noun}/{}", ours.id);
            ensure!(look(viewer.clone(), path.clone()).await?.status == 200, "{path}");
            ensure!(look(ours.operator.clone(), path.clone()).await?.status == 200, "{path}");
            refused(&look(theirs.client.clone(), path.clone()).await?, 403, "forbidden")?;
            refused(&look(publisher.clone(), path.clone()).await?, 403, "forbidden")?;
            refused(&look(ours.client.with_key("er_nobody_x"), path.clone()).await?, 401, "unauthorized")?;
        }
        let change = json!({ "plan": plan("Free of charge") });
        let own = format!("/api/v1/tenants/{}/plan", ours.id);
        refused(&ours.client.call(Method::PUT, &own, Some(&change)).await?, 403, "forbidden")?;
        let bad = json!({ "plan": { "name": "Bad", "currency": "USD", "monthly_fee": "1.005" } });
        refused(&ours.operator.call(Method::PUT, &own, Some(&bad)).await?, 422, "unprocessable")
    })
}

#[test]
fn a_month_closes_and_what_comes_late_is_on_the_next_invoice() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("closed").await?;
        subscribe(&tenant).await?;
        for id in 0..12 {
            send(&tenant, "/closed", &id.to_string(), "test.closed", "1").await?;
        }
        until("12 events on the draft", STORED_WITHIN, || async {
            Ok((invoice(&tenant, "").await?.total_minor == 102).then_some(()))
        })
        .await?;
        let month = Window::Month.of(now()?)?;
        close(&platform, month.to().plus_us(HOUR_US - 1)?).await?;
        ensure!(invoice(&tenant, "").await?.state().name() == "draft", "too early");
        // Twice at once: both find one invoice.
        let settled = month.to().plus_us(HOUR_US)?;
        tokio::try_join!(close(&platform, settled), close(&platform, settled))?;
        let id = format!("{}-{}-1", tenant.id, month.month_label());
        let issued = invoice(&tenant, &format!("/{id}")).await?;
        ensure!((issued.state().name(), issued.total_minor) == ("issued", 102), "{}", issued.to_json());

        send(&tenant, "/closed", "late", "test.closed", "1").await?;
        until("an event that came late to be metered", STORED_WITHIN, || async {
            Ok((of(&told(&tenant).await?, "events_in") == 13).then_some(()))
        })
        .await?;
        ensure!(invoice(&tenant, &format!("/{id}")).await? == issued, "an issued invoice never changes");
        let proof = tenant.client.read(&format!("/api/v1/invoice/{}/{id}/proof", tenant.id)).await?;
        for source in ["analytics", "stream"] {
            let found = proof[source].as_array().context("no proof")?;
            ensure!(
                found.iter().any(|one| one["what"] == "quantity" && one["expected"] == 3 && one["found"] == 2),
                "{proof}"
            );
        }
        let next = Window::Month.of(month.to())?;
        close(&platform, next.to().plus_us(HOUR_US)?).await?;
        let next = invoice(&tenant, &format!("/{}-{}-1", tenant.id, next.month_label())).await?;
        let correction = next.lines.iter().find(|line| line.corrects.is_some()).context("no correction")?;
        ensure!((next.total_minor, correction.quantity) == (101, Some(1)), "{}", next.to_json());

        let void = format!("/api/v1/invoice/{}/{}/void", tenant.id, next.id);
        refused(&tenant.client.call(Method::POST, &void, Some(&json!({}))).await?, 403, "forbidden")?;
        let answer = tenant.operator.call(Method::POST, &void, Some(&json!({}))).await?;
        // Its month is to come: a clock that is ahead issues such ones, and they must not stand.
        ensure!(answer.status == 200 && answer.body.contains(r#""state":"void""#), "{} {}", answer.status, answer.body);
        Ok(())
    })
}

#[test]
fn events_are_kept_as_long_as_the_tenants_record_says() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("kept").await?;
        tenant.patch(&json!({ "quota": { "keep_h": 1 } })).await?;
        let shown = tenant.operator.read(&format!("/api/v1/tenants/{}", tenant.id)).await?;
        ensure!(shown["quota"]["keep_h"] == 1, "{shown}");
        send(&tenant, "/kept", "1", "t", "1").await?;
        let event = stored(&tenant, "/kept", "1").await?;
        ensure!(text(&event, "id")? == "1", "{event}");
        Ok(())
    })
}

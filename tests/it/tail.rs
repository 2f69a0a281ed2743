//! A tenant's events as they come, over server-sent events.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::sse::Tail;
use er_testkit::{until, Tenant};

use crate::support::{send, shared, stored, text};

const SHOWN_WITHIN: Duration = Duration::from_secs(15);
/// Live tails of one tenant at once (`tails_tenant_max` of the jetstream provider).
const TENANT_MAX: usize = 8;

/// How often a reader may have to come back for 60 events, seven at a time, with time to spare for empty visits.
const RETURNS_MAX: usize = 100;

/// Opens a tail and waits for its first position, from which on nothing is missed.
async fn open(tenant: &Tenant, query: &str) -> anyhow::Result<(Tail, String)> {
    let mut tail = Tail::open(&tenant.client, query, None).await?;
    let first = tail.next(SHOWN_WITHIN).await?.context("the tail ended at once")?;
    ensure!(!first.id.is_empty() && first.data.is_empty(), "not a position: {first:?}");
    Ok((tail, first.id))
}

#[test]
fn an_event_is_shown_as_it_comes() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("shown").await?;
        let (mut tail, _) = open(&tenant, "").await?;
        for n in 0..3 {
            let id = n.to_string();
            send(&tenant, "/s", &id, "order.placed", "{\"text\":\"ü\\n\"}").await?;
            let block = tail.next_event(SHOWN_WITHIN).await?.context("the tail ended")?;
            ensure!(block.event == "order.placed", "{block:?}");
            ensure!(block.data == stored(&tenant, "/s", &id).await?, "{block:?}");
        }
        Ok(())
    })
}

#[test]
fn who_opens_too_many_is_told_and_others_are_not_held_up() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (tenant, other) = (platform.tenant("many").await?, platform.tenant("few").await?);
        // Between two reads of a tail nobody counts it, so that one more may be let in now and then.
        let refusal = until("a tail too many", SHOWN_WITHIN * 2, || async {
            let mut opened = Vec::new();
            for _ in 0..TENANT_MAX + 4 {
                match Tail::open(&tenant.client, "", None).await {
                    Ok(tail) => opened.push(tail),
                    Err(refusal) => return Ok(Some(format!("{refusal:#}"))),
                }
            }
            anyhow::bail!("{} were let in", opened.len())
        })
        .await?;
        ensure!(refusal.contains("429"), "{refusal}");
        open(&other, "").await.map(drop)
    })
}

#[test]
fn only_the_types_that_were_asked_for_are_shown() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("filtered").await?;
        let (mut tail, _) = open(&tenant, "types=order.*,alert").await?;
        for (id, event_type) in
            [("1", "order"), ("2", "order.placed"), ("3", "alerts"), ("4", "alert"), ("5", "order.x.y")]
        {
            send(&tenant, "/s", id, event_type, "1").await?;
            stored(&tenant, "/s", id).await?;
        }
        for id in ["2", "4", "5"] {
            let block = tail.next_event(SHOWN_WITHIN).await?.context("the tail ended")?;
            ensure!(text(&block.data, "id")? == id, "expected {id}: {block:?}");
        }
        Ok(())
    })
}

#[test]
fn nothing_of_another_tenant_is_shown() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (ours, theirs) = (platform.tenant("ours").await?, platform.tenant("theirs").await?);
        let (mut tail, _) = open(&ours, "").await?;
        send(&theirs, "/s", "theirs", "t", "1").await?;
        stored(&theirs, "/s", "theirs").await?;
        send(&ours, "/s", "ours", "t", "1").await?;
        let block = tail.next_event(SHOWN_WITHIN).await?.context("the tail ended")?;
        ensure!(text(&block.data, "id")? == "ours", "{block:?}");
        Ok(())
    })
}

#[test]
fn a_reader_that_comes_back_misses_nothing() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("resumed").await?;
        let (mut tail, mut position) = open(&tenant, "").await?;
        let mut seen = BTreeSet::new();
        let sent = 60;
        let sender = {
            let tenant = tenant.clone();
            tokio::spawn(async move {
                for n in 0..sent {
                    send(&tenant, "/s", &format!("{n:03}"), "t", "1").await?;
                }
                anyhow::Ok(())
            })
        };
        // Hangs up after every few events, and comes back with the position it knows.
        let mut returns = 0;
        while seen.len() < sent {
            returns += 1;
            ensure!(returns <= RETURNS_MAX, "it came back {RETURNS_MAX} times and saw {} events", seen.len());
            for _ in 0..7 {
                if seen.len() == sent {
                    break;
                }
                let Some(block) = tail.next_event(SHOWN_WITHIN).await? else { break };
                seen.insert(text(&block.data, "id")?);
                position = block.id;
            }
            drop(tail);
            tail = Tail::open(&tenant.client, "", Some(&position)).await?;
        }
        sender.await??;
        let expected: BTreeSet<String> = (0..sent).map(|n| format!("{n:03}")).collect();
        ensure!(seen == expected, "seen {seen:?}");
        Ok(())
    })
}

#[test]
fn a_tail_ends_by_itself_before_it_is_cut_off() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("ended").await?;
        let (mut tail, _) = open(&tenant, "").await?;
        let ended = async {
            while tail.next(SHOWN_WITHIN).await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(28), ended).await.context("it did not end")?
    })
}

//! A tenant's events as they come, over server-sent events.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::sse::{Block, Tail};
use er_testkit::{until, Tenant};

use crate::support::{send, shared, stored, text};

const SHOWN_WITHIN: Duration = Duration::from_secs(60);
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

/// A tail from a position on. One that was just left may be counted still, so that there is one too many.
async fn opened_again(tenant: &Tenant, query: &str, position: &str) -> anyhow::Result<Tail> {
    until("a further tail", SHOWN_WITHIN, || async {
        Tail::open(&tenant.client, query, Some(position)).await.map(Some)
    })
    .await
}

/// The next event. A tail that has ended, which each does after 20 s, is taken up where it was.
async fn shown(tenant: &Tenant, query: &str, tail: &mut Tail) -> anyhow::Result<Block> {
    let shown = async {
        loop {
            if let Some(block) = tail.next_event(SHOWN_WITHIN).await? {
                return anyhow::Ok(block);
            }
            *tail = opened_again(tenant, query, tail.id()).await?;
        }
    };
    tokio::time::timeout(SHOWN_WITHIN, shown).await.context("no event in time")?
}

#[test]
fn an_event_is_shown_as_it_comes() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("shown").await?;
        let (mut tail, _) = open(&tenant, "").await?;
        for n in 0..3 {
            let id = n.to_string();
            send(&tenant, "/s", &id, "order.placed", "{\"text\":\"ü\\n\"}").await?;
            let block = shown(&tenant, "", &mut tail).await?;
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
        let query = "types=order.*,alert";
        let (mut tail, _) = open(&tenant, query).await?;
        for (id, event_type) in
            [("1", "order"), ("2", "order.placed"), ("3", "alerts"), ("4", "alert"), ("5", "order.x.y")]
        {
            send(&tenant, "/s", id, event_type, "1").await?;
            stored(&tenant, "/s", id).await?;
        }
        for id in ["2", "4", "5"] {
            let block = shown(&tenant, query, &mut tail).await?;
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
        let block = shown(&ours, "", &mut tail).await?;
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
            tail = opened_again(&tenant, "", &position).await?;
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
        tokio::time::timeout(Duration::from_secs(60), ended).await.context("it did not end")?
    })
}

//! What waits in the streams, since when, and whose it is: asked of JetStream every few seconds, for the metrics.
//!
//! Tenants are labels here and nowhere else, and no more than so many of them: those that most waits of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::stream::{InfoWithSubjects, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::Context;
use er_provider_kit::metrics::replace;
use er_tenant::consumers::{By, State};
use futures::TryStreamExt as _;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::follow::Followed;
use crate::publish::now_us;
use crate::streams;

/// How long one look may take: what is told after it would be old.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// The sum of all tenants that are not named. No tenant's name begins so.
const OTHERS: &str = "_other";

/// What waits of one tenant in one stream, or in a whole stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    messages: u64,
    /// No message that waits is before this place; 0 where none waits.
    first: u64,
}

/// One stream at one moment.
#[derive(Debug)]
struct Look {
    name: &'static str,
    messages: u64,
    bytes: u64,
    limit_bytes: Option<u64>,
    pending: u64,
    lag: Option<Duration>,
    tenants: BTreeMap<String, Waiting>,
    /// What waits for workers that read for all tenants, and by which subjects.
    common: Vec<(String, Waiting)>,
    /// Of those that are named.
    lags: BTreeMap<String, Duration>,
}

/// Looks until stopped.
pub async fn watch(js: Context, held: Followed<State>, every: Duration, tenants_max: usize, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let looked = tokio::time::timeout(LOOK_MAX, look(&js, tenants_max)).await;
        match looked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", LOOK_MAX.as_secs()))) {
            Ok((looks, named)) => {
                away = false;
                replace(|| tell(&looks, &named, &held.all()));
            }
            Err(error) => {
                // Not what was: nothing is known.
                replace(|| ());
                if !std::mem::replace(&mut away, true) {
                    warn!(error = format!("{error:#}"), "what waits in the streams can't be asked");
                }
            }
        }
    }
}

async fn look(js: &Context, tenants_max: usize) -> anyhow::Result<(Vec<Look>, BTreeSet<String>)> {
    let (mut looks, mut asked) = (Vec::new(), Vec::new());
    for name in [streams::RAW, streams::EVENTS, streams::RETRY, streams::DEAD, streams::USAGE] {
        let stream = js.get_stream(name).await?;
        looks.push(Look::at(&stream, name).await?);
        asked.push(stream);
    }
    let named = most(&looks, tenants_max);
    for (look, stream) in looks.iter_mut().zip(&asked) {
        look.find_lags(stream, &named).await?;
    }
    Ok((looks, named))
}

// === impl Look ===

impl Look {
    async fn at(stream: &Stream, name: &'static str) -> anyhow::Result<Self> {
        let by_subject = matches!(name, streams::RAW | streams::DEAD);
        let subjects = stream.info_with_subjects(if by_subject { ">" } else { "" }).await?;
        let (state, config) = (&subjects.info.state, &subjects.info.config);
        let mut look = Self {
            name,
            messages: state.messages,
            bytes: state.bytes,
            limit_bytes: u64::try_from(config.max_bytes).ok().filter(|limit| *limit > 0),
            pending: 0,
            lag: None,
            tenants: BTreeMap::new(),
            common: Vec::new(),
            lags: BTreeMap::new(),
        };
        // What is acknowledged leaves the one, and nobody works on the other: what is there waits.
        let first = state.first_sequence;
        if by_subject {
            look.note_subjects(subjects, first).await?;
        } else {
            let consumers: Vec<Info> = stream.consumers().try_collect().await?;
            consumers.iter().for_each(|consumer| look.note_consumer(consumer));
        }
        Ok(look)
    }

    async fn note_subjects(&mut self, mut subjects: InfoWithSubjects, first: u64) -> anyhow::Result<()> {
        while let Some((subject, count)) = subjects.try_next().await? {
            self.note(tenant_of(&subject), count as u64, first);
        }
        Ok(())
    }

    fn note_consumer(&mut self, consumer: &Info) {
        // Who has no lasting place is a reader, and nothing waits for it.
        if consumer.config.durable_name.is_some() {
            let subject = &consumer.config.filter_subject;
            let messages = consumer.num_pending + consumer.num_ack_pending as u64;
            let first = consumer.ack_floor.stream_sequence + 1;
            let tenant = tenant_of(subject);
            self.note(tenant, messages, first);
            if tenant.is_none() {
                self.common.push((subject.clone(), Waiting { messages, first }));
            }
        }
    }

    fn note(&mut self, tenant: Option<&str>, messages: u64, first: u64) {
        self.pending += messages;
        // A worker for all tenants tells nothing of each.
        if let Some(tenant) = tenant {
            let waiting = self.tenants.entry(tenant.to_owned()).or_default();
            waiting.messages += messages;
            if messages > 0 {
                waiting.first = if waiting.first == 0 { first } else { waiting.first.min(first) };
            }
        }
    }

    async fn find_lags(&mut self, stream: &Stream, named: &BTreeSet<String>) -> anyhow::Result<()> {
        let subject = |tenant: &str| match self.name {
            streams::RAW => Some(format!("er.raw.*.{tenant}")),
            streams::EVENTS => Some(streams::events_subject(tenant)),
            _ => None,
        };
        let mut lags = BTreeMap::new();
        for (tenant, waiting) in self.tenants.iter().filter(|(tenant, _)| named.contains(*tenant)) {
            if let Some(subject) = subject(tenant) {
                lags.insert(tenant.clone(), age(stream, &subject, *waiting).await?);
            }
        }
        self.lag = match self.name {
            streams::RAW | streams::EVENTS => {
                // Whoever is furthest behind, named or not.
                let behind = self.tenants.iter().filter(|(_, waiting)| waiting.messages > 0);
                match behind.min_by_key(|(_, waiting)| waiting.first) {
                    Some((tenant, waiting)) => Some(age(stream, &subject(tenant).unwrap_or_default(), *waiting).await?),
                    None => Some(Duration::ZERO),
                }
            }
            streams::USAGE => Some(self.collected_lag(stream).await?),
            _ => None,
        };
        self.lags = lags;
        Ok(())
    }

    /// Of the stream that one worker reads for all tenants.
    async fn collected_lag(&self, stream: &Stream) -> anyhow::Result<Duration> {
        let mut lag = Duration::ZERO;
        for (subject, waiting) in &self.common {
            lag = lag.max(age(stream, subject, *waiting).await?);
        }
        Ok(lag)
    }
}

/// Since when the oldest message that waits has been in the stream.
async fn age(stream: &Stream, subject: &str, waiting: Waiting) -> anyhow::Result<Duration> {
    if waiting.messages == 0 {
        return Ok(Duration::ZERO);
    }
    match stream.get_first_raw_message_by_subject(subject, waiting.first).await {
        Ok(oldest) => {
            let written_us = u64::try_from(oldest.time.unix_timestamp_nanos() / 1_000).unwrap_or_default();
            Ok(Duration::from_micros(now_us().saturating_sub(written_us)))
        }
        // Somebody was faster: it does not wait any more.
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(Duration::ZERO),
        Err(error) => Err(error.into()),
    }
}

/// The tenant in a subject of ours; none where it is one for all of them.
fn tenant_of(subject: &str) -> Option<&str> {
    let mut parts = subject.split('.').skip(1);
    let tenant = match parts.next()? {
        "raw" => parts.nth(1),
        _ => parts.next(),
    };
    tenant.filter(|tenant| !tenant.contains(['*', '>']))
}

/// Those that most waits of; of equals, by name.
fn most(looks: &[Look], tenants_max: usize) -> BTreeSet<String> {
    let mut sums: HashMap<&str, u64> = HashMap::new();
    for (tenant, waiting) in looks.iter().flat_map(|look| &look.tenants) {
        *sums.entry(tenant).or_default() += waiting.messages;
    }
    let mut sums: Vec<(&str, u64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sums.into_iter().take(tenants_max).map(|(tenant, _)| tenant.to_owned()).collect()
}

/// By the name that a tenant has in labels.
fn by_label<'a>(tenants: impl Iterator<Item = (&'a str, u64)>, named: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (tenant, count) in tenants {
        let label = if named.contains(tenant) { tenant } else { OTHERS };
        *sums.entry(label.to_owned()).or_default() += count;
    }
    sums
}

fn tell(looks: &[Look], named: &BTreeSet<String>, held: &[(String, State)]) {
    for look in looks {
        let stream = look.name;
        gauge!("eventrunner_stream_messages", "stream" => stream).set(look.messages as f64);
        gauge!("eventrunner_stream_bytes", "stream" => stream).set(look.bytes as f64);
        if let Some(limit) = look.limit_bytes {
            gauge!("eventrunner_stream_limit_bytes", "stream" => stream).set(limit as f64);
        }
        gauge!("eventrunner_stream_pending_messages", "stream" => stream).set(look.pending as f64);
        if let Some(lag) = look.lag {
            gauge!("eventrunner_stream_lag_seconds", "stream" => stream).set(lag.as_secs_f64());
        }
        let waiting = look.tenants.iter().map(|(tenant, waiting)| (tenant.as_str(), waiting.messages));
        for (tenant, messages) in by_label(waiting, named) {
            gauge!("eventrunner_tenant_pending_messages", "stream" => stream, "tenant" => tenant).set(messages as f64);
        }
        for (tenant, lag) in &look.lags {
            let lag = lag.as_secs_f64();
            gauge!("eventrunner_tenant_lag_seconds", "stream" => stream, "tenant" => tenant.clone()).set(lag);
        }
    }
    for (by, name) in [(By::Owner, "owner"), (By::Update, "update"), (By::Strikes, "strikes")] {
        let count = held.iter().filter(|(_, state)| state.paused && state.by == by).count();
        gauge!("eventrunner_delivery_paused_consumers", "by" => name).set(count as f64);
    }
    let paused = held.iter().filter(|(_, state)| state.paused);
    let paused = paused.map(|(owner, _)| (owner.split('.').next().unwrap_or_default(), 1));
    for (tenant, count) in by_label(paused, named) {
        gauge!("eventrunner_tenant_paused_consumers", "tenant" => tenant).set(count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &'static str) -> Look {
        Look {
            name,
            messages: 0,
            bytes: 0,
            limit_bytes: None,
            pending: 0,
            lag: None,
            tenants: BTreeMap::new(),
            common: Vec::new(),
            lags: BTreeMap::new(),
        }
    }

    #[test]
    fn a_tenant_is_read_out_of_each_kind_of_subject() {
        assert_eq!(tenant_of("er.raw.3.acme"), Some("acme"));
        assert_eq!(tenant_of("er.events.acme"), Some("acme"));
        assert_eq!(tenant_of("er.retry.acme.alert"), Some("acme"));
        assert_eq!(tenant_of("er.dead.acme"), Some("acme"));
        assert_eq!((tenant_of("er.usage.>"), tenant_of("er.raw.0.>")), (None, None));
    }

    #[test]
    fn what_waits_adds_up_and_begins_with_its_oldest() {
        let mut look = look(streams::EVENTS);
        look.note(Some("acme"), 3, 70);
        look.note(Some("acme"), 0, 5);
        look.note(Some("acme"), 2, 40);
        look.note(None, 4, 1);
        assert_eq!(look.pending, 9);
        assert_eq!(look.tenants["acme"], Waiting { messages: 5, first: 40 });
    }

    #[test]
    fn no_more_tenants_are_named_than_may_be_and_nothing_is_lost_of_the_others() {
        let mut raw = look(streams::RAW);
        for n in 0..100 {
            raw.note(Some(&format!("t{n}")), n, n + 1);
        }
        let named = most(&[raw], 3);
        assert_eq!(named, ["t97", "t98", "t99"].map(String::from).into());
        let sums = by_label([("t99", 99), ("t1", 1), ("t2", 2)].into_iter(), &named);
        assert_eq!(sums, [("t99".to_owned(), 99), (OTHERS.to_owned(), 3)].into());
        assert!(most(&[], 3).is_empty());
    }
}

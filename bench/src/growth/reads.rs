//! Reads at one size: of events and tenants drawn at random, one after the other.

use std::time::Instant;

use anyhow::{ensure, Context as _};
use serde_json::json;

use crate::events::{Events, BEGIN_US, END_US};
use crate::stores::{disk_bytes, Stores};
use crate::Args;

const GETS: u64 = 2_000;
const PAGES: u64 = 200;
const USAGES: u64 = 100;

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    p50: f64,
    p99: f64,
}

#[derive(Debug)]
pub struct Measured {
    store: String,
    tenants: u64,
    get: Times,
    page: Times,
    of_type: Times,
    usage: Times,
    disk_mb: u64,
    rss_mb: u64,
}

pub struct Row {
    pub text: String,
    pub json: serde_json::Value,
}

pub async fn measure(args: &Args, events: &Events, stores: &Stores, size: u64) -> anyhow::Result<Measured> {
    let mut draw = Draw(size);
    let mut get = Vec::new();
    for _ in 0..GETS {
        let number = draw.below(size);
        let (tenant, source) = (events.tenant(number), events.source(number));
        let started = Instant::now();
        let found = stores.get(&tenant, &source, &number.to_string()).await?;
        get.push(started.elapsed());
        ensure!(found.is_some(), "event {number} of {tenant} is missing");
    }
    let (mut page, mut of_type) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        let number = draw.below(size);
        let tenant = events.tenant(number);
        let started = Instant::now();
        let found = stores.page(&tenant, None).await?;
        page.push(started.elapsed());
        ensure!(found.len() > 2, "{tenant} has no events");
        let event_type = events.event_type(number).to_owned();
        let started = Instant::now();
        stores.page(&tenant, Some(event_type)).await?;
        of_type.push(started.elapsed());
    }
    let mut usage = Vec::new();
    for _ in 0..USAGES {
        let tenant = events.tenant(draw.below(size));
        let started = Instant::now();
        let rows = stores.analytics.usage(&tenant, BEGIN_US.unsigned_abs(), END_US.unsigned_abs(), "day").await?;
        usage.push(started.elapsed());
        ensure!(rows.len() > 2, "{tenant} has no usage");
    }
    let times = |mut all: Vec<std::time::Duration>| {
        all.sort_unstable();
        let at = |share: f64| {
            let place = ((all.len().saturating_sub(1)) as f64 * share).round() as usize;
            all.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Times { p50: at(0.50), p99: at(0.99) }
    };
    Ok(Measured {
        store: format!("{:?}", args.store).to_lowercase(),
        tenants: args.tenants,
        get: times(get),
        page: times(page),
        of_type: times(of_type),
        usage: times(usage),
        disk_mb: disk_bytes(&args.dir) >> 20,
        rss_mb: rss_mb()?,
    })
}

// === impl Measured ===

impl Measured {
    pub fn row(&self, size: u64, rate: f64) -> Row {
        let mut text = format!("{size:>10} {rate:>11.0}");
        for times in [self.get, self.page, self.of_type, self.usage] {
            text.push_str(&format!(" {:>6.2} ms {:>6.2} ms", times.p50, times.p99));
        }
        text.push_str(&format!(" {:>8} {:>8}", self.disk_mb, self.rss_mb));
        let times = |times: Times| json!({ "p50_ms": times.p50, "p99_ms": times.p99 });
        let json = json!({
            "bench": "growth", "commit": std::env::var("ER_COMMIT").unwrap_or_default(),
            "store": self.store, "tenants": self.tenants, "events": size, "written_per_s": rate,
            "get": times(self.get), "page": times(self.page), "page_of_type": times(self.of_type),
            "usage": times(self.usage), "disk_mb": self.disk_mb, "rss_mb": self.rss_mb,
        });
        Row { text, json }
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// Resident memory of this process, the stores and the generator together.
fn rss_mb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kb: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kb >> 10)
}

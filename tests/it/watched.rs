//! Traffic of every kind that there are metrics of, on a platform that a real Prometheus scrapes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_deploy::client::{Answer, Client};
use er_testkit::platform::{need, root};
use er_testkit::prometheus::SCRAPED_WITHIN;
use er_testkit::{until, Component, Consumer, Platform, Prometheus, Tenant};
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{accepted, event, live, now, post, refused, save_rules, send, stored, BATCH, EVENT, JSON};

const WITHIN: Duration = Duration::from_secs(180);
const RULES: &str = r#"
    rule Noise { when Event.type == "noise" then Drop("noise"); Retract("Noise"); }
    rule Late { when Event.type == "late" then DeadLetter("late"); Retract("Late"); }
    rule Copy { when Event.type == "copy" then Emit("copied", Event.data); Retract("Copy"); }
"#;
/// Of one round of the shop.
const SOLD: [(&str, usize); 4] = [("sold", 30), ("noise", 4), ("late", 3), ("copy", 3)];
/// The shop's consumer, as it is uploaded.
const NAME: &str = "recorder";
/// Both handle what is sold.
const COMPONENTS: [&str; 2] = ["er_test_recorder.wasm", "er_test_hostile.wasm"];
/// Whole batches that fail until a consumer is paused.
const STRIKES: usize = 5;

/// What clients did, to be compared with what metrics tell.
#[derive(Debug, Default)]
pub struct Done {
    pub received: usize,
    pub dropped: usize,
    pub dead_by_rules: usize,
    pub dead_in_delivery: usize,
    pub emitted_by_rules: usize,
    pub redriven: usize,
    pub discarded: usize,
    pub replayed: usize,
    pub limited: usize,
}

/// Three tenants: one whose business goes well, one whose consumer fails, and one that sends too much.
pub struct Watched {
    pub prometheus: Prometheus,
    pub shop: Tenant,
    pub done: Done,
    platform: Arc<Platform>,
    clumsy: Tenant,
    consumer: Consumer,
    greedy: Tenant,
    rounds: usize,
}

// === impl Watched ===

impl Watched {
    pub async fn start(platform: &Arc<Platform>) -> anyhow::Result<Self> {
        let prometheus = Prometheus::start(platform).await?;
        let shop = platform.tenant("shop").await?;
        let version = save_rules(&shop, "shop", RULES).await?;
        live(&shop, version).await?;
        let clumsy = platform.tenant("clumsy").await?;
        let settings = [("attempts_max", "2"), ("backoff_ms", "50")];
        let consumer = platform.consumer(&clumsy, Component::Hostile, &settings).await?;
        let greedy = platform.tenant("greedy").await?;
        greedy.patch(&json!({ "quota": { "events_per_s": 1, "burst": 1 } })).await?;
        // What was sent to see whether the rules are live.
        let received = shop.events("").await?.len();
        let done = Done { received, ..Done::default() };
        let platform = Arc::clone(platform);
        Ok(Self { prometheus, shop, done, platform, clumsy, consumer, greedy, rounds: 0 })
    }

    /// All of it once more, and scraped before this returns: a rate needs two rounds.
    pub async fn round(&mut self) -> anyhow::Result<()> {
        self.rounds += 1;
        self.upload().await?;
        let from = now();
        self.sell().await?;
        self.fail().await?;
        self.overdraw().await?;
        self.replay(&from).await?;
        self.prometheus.scraped(SCRAPED_WITHIN).await
    }

    /// The shop's consumer, or another component in its place: one that was tried before is not tried again.
    async fn upload(&self) -> anyhow::Result<()> {
        let file = root().join("build").join(COMPONENTS[self.rounds % COMPONENTS.len()]);
        need(&file, "scripts/build-components")?;
        let path = format!("/api/v1/consumers/{NAME}?deliver=all&batch_events_max={}", 64 * self.rounds);
        let request = self.shop.client.raw(Method::PUT, &format!("{}{path}", self.shop.client.api));
        let request = request.bearer_auth(self.shop.client.key()).header("content-type", "application/wasm");
        let answer = Client::answer(request.body(std::fs::read(file)?)).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        until("the consumer to run", WITHIN, || async {
            let record = self.shop.client.read(&format!("/api/v1/consumers/{NAME}")).await?;
            if ["refused", "failed"].contains(&record["state"].as_str().unwrap_or_default()) {
                bail!("{record}");
            }
            Ok((record["state"] == "running" && record["deployed"] == self.rounds).then_some(()))
        })
        .await
    }

    async fn sell(&mut self) -> anyhow::Result<()> {
        let round = self.rounds;
        let kinds = SOLD.iter().flat_map(|(ty, count)| std::iter::repeat_n(*ty, *count)).enumerate();
        let (ids, events): (Vec<String>, Vec<String>) = kinds
            .map(|(n, ty)| {
                let id = format!("{round}-{n}");
                let event = event("/shop", &id, ty, r#"{"total":12}"#);
                (id, event)
            })
            .unzip();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        accepted(&post(&self.shop.client, BATCH, format!("[{}]", events.join(","))).await?, &ids)?;
        refused(&post(&self.shop.client, JSON, "{").await?, 400, "invalid-json")?;
        stored(&self.shop, "/shop", ids.first().context("no event")?).await?;
        let of = |wanted| SOLD.iter().find(|(ty, _)| *ty == wanted).map_or(0, |(_, count)| *count);
        self.done.received += ids.len();
        self.done.dropped += of("noise");
        self.done.dead_by_rules += of("late");
        self.done.emitted_by_rules += of("copy");
        Ok(())
    }

    /// Two events that no attempt handles; one of them is sent again and fails again, the other is discarded.
    async fn fail(&mut self) -> anyhow::Result<()> {
        let ids = ["again", "gone"].map(|what| format!("{what}-{}", self.rounds));
        for id in &ids {
            send(&self.clumsy, "/clumsy", id, "test.fail", "1").await?;
        }
        let again = self.dead(&ids[0], 0).await?;
        let gone = self.dead(&ids[1], 0).await?;
        let redriven = self.ask("dead-letters:redrive", &json!({ "seqs": [again] })).await?;
        let discarded = self.ask("dead-letters:discard", &json!({ "seqs": [gone] })).await?;
        ensure!(redriven["redriven"] == 1 && discarded["discarded"] == 1, "{redriven} {discarded}");
        self.dead(&ids[0], again).await?;
        self.done.received += ids.len();
        self.done.dead_in_delivery += ids.len() + 1;
        self.done.redriven += 1;
        self.done.discarded += 1;
        Ok(())
    }

    /// The place of an event's dead letter, behind another place.
    async fn dead(&self, id: &str, after: u64) -> anyhow::Result<u64> {
        until(&format!("the dead letter of {id}"), WITHIN, || async {
            let letters = self.clumsy.dead_letters().await?;
            let letter =
                letters.iter().find(|letter| letter["event"]["id"] == id && letter["seq"].as_u64() > Some(after));
            Ok(letter.and_then(|letter| letter["seq"].as_u64()))
        })
        .await
    }

    async fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.clumsy.client.call(Method::POST, &format!("/api/v1/{path}"), Some(body)).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok(answer.json())
    }

    async fn overdraw(&mut self) -> anyhow::Result<()> {
        let (client, round) = (self.greedy.client.clone(), self.rounds);
        let sent = |n: usize| {
            let client = client.clone();
            async move {
                let answer: Answer = post(&client, EVENT, event("/greedy", &format!("{round}-{n}"), "t", "1")).await?;
                anyhow::Ok(answer.status.as_u16())
            }
        };
        for n in 0.. {
            match sent(n).await? {
                202 => self.done.received += 1,
                429 => break,
                other => bail!("the greedy tenant was answered {other}"),
            }
        }
        self.done.limited += 1;
        Ok(())
    }

    /// What was sold in this round, to the shop's consumer once more.
    async fn replay(&mut self, from: &str) -> anyhow::Result<()> {
        let body = json!({ "consumer": NAME, "from": from, "types": ["sold"] });
        let begun = self.shop.client.call(Method::POST, "/api/v1/replays", Some(&body)).await?;
        ensure!(begun.status == 202, "{} {}", begun.status, begun.body);
        let path = format!("/api/v1/replays/{}", begun.json()["id"].as_str().context("no id")?);
        let sent = until("the replay to be over", WITHIN, || async {
            let record = self.shop.client.read(&path).await?;
            Ok((record["done"] == true).then(|| record["sent"].as_u64()).flatten())
        })
        .await?;
        self.done.replayed += usize::try_from(sent)?;
        Ok(())
    }

    // === a consumer that is held ===

    /// Makes the clumsy tenant's consumer fail until it is paused.
    pub async fn strike(&mut self) -> anyhow::Result<()> {
        for n in 0..STRIKES {
            send(&self.clumsy, "/clumsy", &format!("trap-{n}"), "test.trap", "1").await?;
        }
        self.done.received += STRIKES;
        Ok(())
    }

    pub async fn hold(&self, held: bool) -> anyhow::Result<()> {
        let path = format!("/api/v1/consumers/{NAME}:{}", if held { "pause" } else { "resume" });
        let answer = self.shop.client.call(Method::POST, &path, Some(&json!({}))).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(())
    }

    pub async fn sell_one(&mut self, id: &str) -> anyhow::Result<()> {
        send(&self.shop, "/shop", id, "sold", r#"{"total":1}"#).await?;
        self.done.received += 1;
        Ok(())
    }

    pub async fn end(self) -> anyhow::Result<()> {
        self.platform.retire(&self.consumer).await
    }
}

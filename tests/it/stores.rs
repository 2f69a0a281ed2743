//! The same platform on other stores: links lead elsewhere, and nothing else changes.

use std::collections::BTreeMap;

use anyhow::{ensure, Context as _};
use er_deploy::manifest;
use er_testkit::platform::root;
use er_testkit::Rng;
use serde_json::Value;

use crate::scene::{Scene, FRESH_WITHIN};
use crate::support::on_stores;

/// The store of one machine, and what stands in its place.
const ONE: &str = "store";
const MANY: [&str; 2] = ["scylla", "clickhouse"];

/// The components of a manifest by name.
async fn components(manifest: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let manifest = serde_json::to_value(manifest::read(&root().join(manifest)).await?)?;
    let components = manifest["spec"]["components"].as_array().context("no components")?;
    components.iter().map(|one| Ok((one["name"].as_str().context("no name")?.to_owned(), one.clone()))).collect()
}

/// Every link that leads to a store, as `source interfaces`, taken out of the component that has it.
fn taken_out(name: &str, component: &mut Value, stores: &[&str]) -> Vec<String> {
    let Some(traits) = component["traits"].as_array_mut() else { return Vec::new() };
    let leads = |one: &Value| one["properties"]["target"]["name"].as_str().is_some_and(|name| stores.contains(&name));
    let (to_stores, others): (Vec<Value>, Vec<Value>) = traits.drain(..).partition(leads);
    *traits = others;
    to_stores.iter().map(|one| format!("{name} {}", one["properties"]["interfaces"])).collect()
}

#[tokio::test]
async fn production_differs_from_one_machine_in_stores_and_the_links_to_them() -> anyhow::Result<()> {
    let (mut one, mut many) = (components("wadm/eventrunner.yaml").await?, components("wadm/production.yaml").await?);
    ensure!(
        one.remove(ONE).is_some() && MANY.iter().all(|name| many.remove(*name).is_some()),
        "the stores are missing"
    );
    let links = |components: &mut BTreeMap<String, Value>, stores: &[&str]| -> Vec<String> {
        components.iter_mut().flat_map(|(name, component)| taken_out(name, component, stores)).collect()
    };
    let (to_one, to_many) = (links(&mut one, &[ONE]), links(&mut many, &MANY));
    ensure!(to_one == to_many && to_one.len() == 3, "{to_one:?} and {to_many:?}");
    ensure!(one == many, "more than the stores differs");
    Ok(())
}

/// Not a test: it is the ClickHouse server of this binary's tests, when it was started to be that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_the_clickhouse_server_if_asked() -> anyhow::Result<()> {
    er_testkit::clickhouse::serve_if_asked().await
}

#[test]
fn on_scylla_and_clickhouse_nothing_is_lost_while_either_dies_or_stands_still() -> anyhow::Result<()> {
    on_stores("stores::is_the_clickhouse_server_if_asked", |platform, mut cassandra, mut clickhouse| async move {
        let seed = Rng::seed("stores");
        let mut scene = Scene::new(&platform, seed).await?;
        scene.fresh().await.context("before anything breaks")?;
        let load = scene.load(seed);

        load.advance(200, FRESH_WITHIN).await?;
        clickhouse.kill9()?;
        // Usage waits in its stream; events do not.
        scene.fresh().await.context("without ClickHouse")?;
        clickhouse.restart()?;
        load.advance(200, FRESH_WITHIN).await?;

        cassandra.kill9()?;
        // What is acknowledged meanwhile waits in the raw stream.
        load.advance(200, FRESH_WITHIN).await?;
        cassandra.start().await?;
        scene.fresh().await.context("after Cassandra was killed")?;

        clickhouse.pause().await?;
        let paused = cassandra.pause()?;
        load.advance(200, FRESH_WITHIN).await?;
        drop(paused);
        clickhouse.resume()?;
        scene.fresh().await.context("after both stood still")?;
        scene.judge(load, seed).await
    })
}

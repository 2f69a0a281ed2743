//! The rules component as wasmCloud runs it: its engine's settings, and an instance of its own for each call.

use std::path::Path;

use anyhow::{anyhow, Context as _};
use er_tenant::rules::{set_path, RULES_BUCKET};
use serde::Deserialize;
use tokio::runtime::Runtime;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::engine::VERSION;
use bindings::eventrunner::platform::kv;
use bindings::eventrunner::platform::types::{self, Fault, FaultCode};
use bindings::exports::eventrunner::platform::rules::Ruled;
use bindings::{RulesComponent, RulesComponentPre};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "rules-component",
        imports: { default: async },
        exports: { default: async },
    });
}

const TENANT: &str = "bench";
/// Of crate `wasmcloud-runtime`.
const KEEP_RESIDENT_BYTES: usize = 10 * 1024;
const MEMORY_BYTES_MAX: usize = 256 << 20;
const CORE_INSTANCES_MAX: u32 = 30;
const TABLES_MAX: u32 = 20;
const TABLE_ELEMENTS_MAX: usize = 15_000;
/// One call at a time here, where the host has room for 10,000.
const INSTANCES_MAX: u32 = 64;

/// The component, compiled and linked.
pub struct Guest {
    engine: Engine,
    linked: RulesComponentPre<Host>,
    runtime: Runtime,
}

/// What an instance sees of the outside: one rule set.
struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    /// As the bucket holds it.
    set: String,
}

/// Of [`Ruled::stats`].
#[derive(Debug, Default, Deserialize)]
pub struct Stats {
    pub events: usize,
    pub dead: usize,
    pub fired: std::collections::BTreeMap<String, usize>,
}

// === impl Guest ===

impl Guest {
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(INSTANCES_MAX)
            .total_core_instances(INSTANCES_MAX)
            .total_memories(INSTANCES_MAX)
            .total_tables(INSTANCES_MAX)
            .total_stacks(INSTANCES_MAX)
            .max_core_instances_per_component(CORE_INSTANCES_MAX)
            .max_tables_per_component(TABLES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .max_memories_per_component(CORE_INSTANCES_MAX)
            .max_memory_size(MEMORY_BYTES_MAX)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES);
        let mut config = Config::new();
        config
            .async_support(true)
            .epoch_interruption(true)
            .wasm_component_model(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, path).with_context(|| {
            format!("{}; mend it with: scripts/build-components er-rules-component", path.display())
        })?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        RulesComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        let linked = RulesComponentPre::new(linker.instantiate_pre(&component)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { engine, linked, runtime })
    }

    /// One call: a new instance, which fetches and opens the set, and runs the batch.
    ///
    /// `set`: packed, as the bucket holds it. Copied for each call, since a reply that holds it is made each time.
    pub fn call(&self, set: &str, batch: &String) -> anyhow::Result<Ruled> {
        let host = Host { wasi: WasiCtx::builder().build(), table: ResourceTable::new(), set: set.to_owned() };
        let mut store = Store::new(&self.engine, host);
        // Far from any deadline: nothing here is to be interrupted.
        store.set_epoch_deadline(u64::MAX / 2);
        let answer = self.runtime.block_on(async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            instance.eventrunner_platform_rules().call_evaluate(&mut store, TENANT, VERSION, batch).await
        })?;
        answer.map_err(|fault| anyhow!("{:?}: {}", fault.code, fault.detail))
    }

    pub fn stats(&self, set: &str, batch: &String) -> anyhow::Result<Stats> {
        Ok(serde_json::from_str(&self.call(set, batch)?.stats)?)
    }
}

// === impl Host ===

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Host {}

impl kv::Host for Host {
    async fn get(&mut self, bucket: String, key: String) -> Result<Option<kv::Item>, Fault> {
        if bucket != RULES_BUCKET || key != set_path(TENANT, VERSION) {
            return Ok(None);
        }
        Ok(Some(kv::Item { key, value: std::mem::take(&mut self.set), revision: 1 }))
    }

    async fn create(&mut self, _bucket: String, _key: String, _value: String) -> Result<u64, Fault> {
        Err(read_only())
    }

    async fn put(
        &mut self,
        _bucket: String,
        _key: String,
        _value: String,
        _revision: Option<u64>,
    ) -> Result<u64, Fault> {
        Err(read_only())
    }

    async fn delete(&mut self, _bucket: String, _key: String) -> Result<(), Fault> {
        Err(read_only())
    }

    async fn scan(&mut self, _bucket: String, _filter: String, _limit: u32) -> Result<Vec<kv::Item>, Fault> {
        Ok(Vec::new())
    }
}

fn read_only() -> Fault {
    Fault { code: FaultCode::Denied, detail: "nothing is written in a bench".into(), retry_after_ms: None }
}

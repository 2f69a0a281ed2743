//! What a guest finds around it in a trial: WASI with nothing granted, an emitter that counts, and the settings it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Engine, ResourceLimiter, StoreContextMut};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{Limits, EMITTER};

/// What a guest may say on stderr during one call; further writes trap.
const SAID_BYTES_MAX: usize = 1 << 20;
const TABLE_ELEMENTS_MAX: usize = 10_000_000;

pub(crate) struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    memory: usize,
    memory_max: usize,
    pub(crate) memory_refused: bool,
    /// Batches and their bytes.
    pub(crate) emitted: (usize, usize),
    emitted_max: usize,
    pub(crate) said: MemoryOutputPipe,
}

// === impl Guest ===

impl Guest {
    pub(crate) fn new(limits: &Limits) -> Self {
        let said = MemoryOutputPipe::new(SAID_BYTES_MAX);
        Self {
            wasi: WasiCtx::builder().args(&["main.wasm"]).stderr(said.clone()).build(),
            table: ResourceTable::new(),
            memory: 0,
            memory_max: limits.memory_bytes_max,
            memory_refused: false,
            emitted: (0, 0),
            emitted_max: limits.emitted_bytes_max,
            said,
        }
    }

    fn emit(&mut self, batch: &str) -> Result<u32, String> {
        let bytes = self.emitted.1 + batch.len();
        if bytes > self.emitted_max {
            return Err(format!("a trial emits at most {} bytes", self.emitted_max));
        }
        let events: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(batch).map_err(|e| format!("not a JSON array of events: {e}"))?;
        self.emitted = (self.emitted.0 + 1, bytes);
        Ok(u32::try_from(events.len()).unwrap_or(u32::MAX))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, now: usize, wanted: usize, _own_max: Option<usize>) -> wasmtime::Result<bool> {
        let all = self.memory.saturating_add(wanted.saturating_sub(now));
        if all > self.memory_max {
            self.memory_refused = true;
            return Ok(false);
        }
        self.memory = all;
        Ok(true)
    }

    fn table_growing(&mut self, _now: usize, wanted: usize, _own_max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(wanted <= TABLE_ELEMENTS_MAX)
    }
}

/// Everything that a consumer may import, as far as it is known here.
pub(crate) fn linker(
    engine: &Engine,
    component: &Component,
    settings: &BTreeMap<String, String>,
) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.instance(EMITTER)?.func_wrap("emit", |mut store: StoreContextMut<'_, Guest>, (batch,): (String,)| {
        Ok((store.data_mut().emit(&batch),))
    })?;
    let settings = Arc::new(settings.clone());
    // In whichever version it asks for: wasmCloud has them too.
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        if !["wasi:logging/", "wasi:config/"].iter().any(|known| name.starts_with(known)) {
            continue;
        }
        for (function, item) in instance.exports(engine) {
            if !matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                continue;
            }
            let (what, settings) = (function.to_owned(), Arc::clone(&settings));
            linker.instance(name)?.func_new(function, move |_, _, params, results| {
                if let Some(result) = results.first_mut() {
                    *result = Val::Result(Ok(Some(Box::new(setting(&what, params, &settings)))));
                }
                Ok(())
            })?;
        }
    }
    Ok(linker)
}

/// What `get` and `get-all` of `wasi:config` answer.
fn setting(function: &str, params: &[Val], settings: &BTreeMap<String, String>) -> Val {
    match (function, params) {
        ("get", [Val::String(key)]) => {
            Val::Option(settings.get(key.as_str()).map(|value| Box::new(Val::String(value.clone()))))
        }
        _ => Val::List(
            settings
                .iter()
                .map(|(key, value)| Val::Tuple(vec![Val::String(key.clone()), Val::String(value.clone())]))
                .collect(),
        ),
    }
}

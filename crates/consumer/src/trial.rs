//! A trial run: an empty batch, and one event.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wasmtime::component::{Component, ComponentType, Lift, Linker};
use wasmtime::{Config, Engine, OptLevel, Store, Trap, WasmBacktrace};

use crate::host::{linker, Guest};
use crate::{Limits, Refusal, CONSUMER};

/// How often a guest lets go of its thread, so that its time can be over.
const EPOCH: Duration = Duration::from_millis(20);
const REASON_CHARS_MAX: usize = 600;
const SAID_CHARS_MAX: usize = 300;
const FRAMES_MAX: usize = 3;

/// What a consumer is given in its trial.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The type of the sample event; none: a type that nobody knows.
    pub event_type: Option<String>,
    /// Its settings, as `wasi:config` has them.
    pub settings: BTreeMap<String, String>,
}

/// A trial that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What became of the sample event, where it was not handled: a consumer need not know it.
    pub sample: Option<String>,
    /// Batches that it emitted.
    pub emitted: usize,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Failure {
    #[allow(dead_code)]
    id: String,
    #[component(name = "retry-after-ms")]
    #[allow(dead_code)]
    retry_after_ms: Option<u32>,
    reason: String,
}

type Answer = Result<Vec<Failure>, String>;

/// Rings while a trial lasts.
struct Clock {
    over: Arc<AtomicBool>,
}

/// Compiles a component that passed [`check`](crate::check), and calls it twice, each time in an instance of its own.
///
/// Blocks for as long as that takes, seconds for large ones: not for a thread of a runtime.
///
/// # Errors
/// What does not compile, can't be started, or has no answer for an empty batch. What happens with the sample event
/// refuses nobody.
pub fn trial(component: &[u8], setup: &Setup, limits: &Limits) -> Result<Trial, Refusal> {
    let compile = |e: wasmtime::Error| Refusal::Compile(short(&format!("{e:#}"), REASON_CHARS_MAX));
    let mut config = Config::new();
    // It runs for two calls: what matters is how long the compiler takes.
    config.cranelift_opt_level(OptLevel::None).consume_fuel(true).epoch_interruption(true);
    let engine = Engine::new(&config).map_err(compile)?;
    let component = Component::from_binary(&engine, component).map_err(compile)?;
    let link = |e: wasmtime::Error| Refusal::Link(short(&format!("{e:#}"), REASON_CHARS_MAX));
    let linker = linker(&engine, &component, &setup.settings).map_err(link)?;
    linker.instantiate_pre(&component).map_err(link)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Refusal::Link(format!("no thread for the trial: {e}")))?;

    let _clock = Clock::start(engine.clone());
    let run = Run { engine: &engine, component: &component, linker: &linker, limits };
    let (answer, first) = runtime.block_on(run.call("an empty batch", "[]"))?;
    if let Err(reason) = answer {
        let reason = format!("it answers with the error {:?}", short(&reason, REASON_CHARS_MAX));
        return Ok(Trial { sample: Some(format!("an empty batch: {reason}")), emitted: first });
    }
    let (sample, second) = match runtime.block_on(run.call("the sample event", &sample(setup))) {
        Ok((Ok(failures), emitted)) => {
            (failures.first().map(|failure| short(&failure.reason, REASON_CHARS_MAX)), emitted)
        }
        Ok((Err(reason), emitted)) => (Some(short(&reason, REASON_CHARS_MAX)), emitted),
        Err(refusal) => (Some(refusal.to_string()), 0),
    };
    Ok(Trial { sample, emitted: first + second })
}

fn sample(setup: &Setup) -> String {
    let event_type = setup.event_type.as_deref().unwrap_or("eventrunner.trial");
    json!([{
        "specversion": "1.0", "id": "trial", "source": "/eventrunner/trial", "type": event_type,
        "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json", "data": {}
    }])
    .to_string()
}

struct Run<'a> {
    engine: &'a Engine,
    component: &'a Component,
    linker: &'a Linker<Guest>,
    limits: &'a Limits,
}

// === impl Run ===

impl Run<'_> {
    /// Its answer, and how many batches it emitted.
    async fn call(&self, call: &'static str, batch: &str) -> Result<(Answer, usize), Refusal> {
        let mut store = Store::new(self.engine, Guest::new(self.limits));
        store.limiter(|guest| guest);
        store.epoch_deadline_async_yield_and_update(1);
        let answer = match store.set_fuel(self.limits.fuel_max) {
            Err(error) => Ok(Err(error)),
            Ok(()) => tokio::time::timeout(self.limits.time_max, self.handle(&mut store, batch)).await,
        };
        let guest = store.data();
        match answer {
            Ok(Ok(answer)) => Ok((answer, guest.emitted.0)),
            _ if guest.memory_refused => Err(Refusal::Memory { call, mib: self.limits.memory_bytes_max >> 20 }),
            Err(_) => Err(Refusal::Slow { call, after: self.limits.time_max }),
            Ok(Err(error)) if error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel) => {
                Err(Refusal::Loops { call, fuel: self.limits.fuel_max })
            }
            Ok(Err(error)) => Err(Refusal::Trapped { call, reason: reason(&error, &guest.said.contents()) }),
        }
    }

    async fn handle(&self, store: &mut Store<Guest>, batch: &str) -> wasmtime::Result<Answer> {
        let instance = self.linker.instantiate_async(&mut *store, self.component).await?;
        let missing = || wasmtime::Error::msg("`handle` is missing");
        let interface = instance.get_export_index(&mut *store, None, CONSUMER).ok_or_else(missing)?;
        let function = instance.get_export_index(&mut *store, Some(&interface), "handle").ok_or_else(missing)?;
        let function = instance.get_typed_func::<(&str,), (Answer,)>(&mut *store, &function)?;
        let (answer,) = function.call_async(&mut *store, (batch,)).await?;
        Ok(answer)
    }
}

// === impl Clock ===

impl Clock {
    fn start(engine: Engine) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&over);
        std::thread::spawn(move || {
            while !heard.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH);
                engine.increment_epoch();
            }
        });
        Self { over }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The trap, where it happened, and the last of what was said on stderr: Python tells its exceptions there.
fn reason(error: &wasmtime::Error, said: &[u8]) -> String {
    let mut text = error.downcast_ref::<Trap>().map_or_else(|| error.root_cause().to_string(), ToString::to_string);
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
    let names: Vec<&str> = frames.iter().filter_map(|frame| frame.func_name()).take(FRAMES_MAX).collect();
    if !names.is_empty() {
        text.push_str(&format!(" (in {})", names.join(", called by ")));
    }
    let said = String::from_utf8_lossy(said);
    let said: Vec<char> = said.trim().chars().collect();
    if !said.is_empty() {
        let last: String = said.iter().skip(said.len().saturating_sub(SAID_CHARS_MAX)).collect();
        text.push_str(&format!("; it said: {last}"));
    }
    short(&text, REASON_CHARS_MAX)
}

fn short(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

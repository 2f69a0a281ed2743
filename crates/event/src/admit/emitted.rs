//! Events that a consumer emits: the same checks, and the platform's word on where they come from.

use std::borrow::Cow;

use crate::event::{hash_seeded, with_members, EMITTER, HOP};
use crate::json::write_string;
use crate::Problem;

use super::gather::Gather;
use super::structured::each;
use super::{event_size, Entry, Received};

/// Checks a batch that consumer `emitter` of `tenant` emits: all of it, or an error in one sentence. `id`, `source` and
/// `type` are required; `specversion` and `time` (`now_us`, microseconds since 1970) are filled in. Every event gets
/// the extensions `eremitter` and, as an integer, `erhop`, whatever the consumer wrote there. Equal input gives equal
/// message ids. Gives the entries and the number of events.
pub fn admit_emitted(
    tenant: &str,
    batch: &str,
    emitter: &str,
    hop: u32,
    now_us: u64,
) -> Result<(Vec<Entry>, usize), String> {
    let parts = [emitter, batch];
    let mut gather = Gather::new(tenant, &format!("{:016x}{:016x}", hash_seeded(3, &parts), hash_seeded(4, &parts)));
    let now = Received::new(now_us);
    let time = format!("\"{}\"", now.text());
    let hop = hop.to_string();
    let mut name = String::new();
    write_string(&mut name, emitter);
    let mut events = 0;
    each(batch, |mut event| {
        event.complete(false)?;
        if let Some(problem) = event.own_type.take() {
            return Err(problem);
        }
        let mut members = vec![(EMITTER, &*name), (HOP, &*hop)];
        if !event.specversion {
            members.push(("specversion", "\"1.0\""));
        }
        if !event.time {
            members.push(("time", &*time));
        }
        let text = with_members(event.raw(), &members);
        event_size(text.len())?;
        gather.push(&event.with_text(Cow::Owned(text)), now_us);
        events += 1;
        Ok(())
    })
    .map_err(|problem| sentence(&problem))?;
    Ok((gather.finish(), events))
}

pub(super) fn sentence(problem: &Problem) -> String {
    let event = problem.index.map(|index| format!("event {index}: ")).unwrap_or_default();
    let mend = problem.mend.as_deref().map(|mend| format!(". {mend}")).unwrap_or_default();
    format!("{event}{}{mend}", problem.detail)
}

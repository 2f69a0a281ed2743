//! Events from real webhooks: each carries as many members of its payload, the smallest first, as make an event of common
//! size. The whole payloads are ten times as large, and ten million of them no disk's business here.

use er_deploy::samples;
use er_event::event::{rfc3339_us, BatchWriter};
use er_metering::{Meter, Quantities, Record, Time};
use serde_json::value::RawValue;

use crate::Args;

/// What an event's data may come to.
const DATA_BYTES_MAX: usize = 600;
/// 2026-10-01T00:00:00Z; events are spread over the 31 days from here.
pub const BEGIN_US: i64 = 1_790_812_800_000_000;
pub const END_US: i64 = BEGIN_US + 31 * 86_400_000_000;

pub struct Events {
    /// Type and data.
    templates: Vec<(String, String)>,
    tenants: u64,
    batch: u64,
    events_per_record: u64,
    /// Between two events.
    step_us: i64,
}

// === impl Events ===

impl Events {
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let mut templates = Vec::new();
        for webhook in samples::github(&args.modules)? {
            let members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(&webhook.body)?;
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(_, value)| value.get().len());
            let mut data = String::from("{");
            for (name, value) in members {
                let member =
                    format!("{}{}:{}", if data.len() > 1 { "," } else { "" }, serde_json::to_string(name)?, value);
                if data.len() + member.len() <= DATA_BYTES_MAX {
                    data.push_str(&member);
                }
            }
            data.push('}');
            templates.push((format!("com.github.{}", webhook.event), data));
        }
        anyhow::ensure!(!templates.is_empty(), "no webhooks in {}", args.modules.display());
        let last = args.sizes.last().copied().unwrap_or(1).max(1);
        let step_us = (END_US - BEGIN_US) / i64::try_from(last)?;
        Ok(Self {
            templates,
            tenants: args.tenants,
            batch: args.batch,
            events_per_record: args.events_per_record,
            step_us: step_us.max(1),
        })
    }

    pub fn mean_bytes(&self) -> usize {
        let sample: usize = (0..1_000).map(|number| self.event(number).len()).sum();
        sample / 1_000
    }

    /// Whose the event is: a batch is one tenant's.
    pub fn tenant(&self, number: u64) -> String {
        format!("tenant-{:04}", number / self.batch % self.tenants)
    }

    pub fn source(&self, number: u64) -> String {
        format!("https://api.github.com/repos/octo/{}", number % 97)
    }

    pub fn event_type(&self, number: u64) -> &str {
        &self.template(number).0
    }

    fn template(&self, number: u64) -> &(String, String) {
        let place = usize::try_from(number % self.templates.len() as u64).unwrap_or_default();
        &self.templates[place]
    }

    fn time_us(&self, number: u64) -> i64 {
        BEGIN_US + self.step_us * i64::try_from(number).unwrap_or_default()
    }

    fn event(&self, number: u64) -> String {
        let (event_type, data) = self.template(number);
        format!(
            r#"{{"specversion":"1.0","id":"{number}","source":"{}","type":"{event_type}","time":"{}","datacontenttype":"application/json","data":{data}}}"#,
            self.source(number),
            rfc3339_us(self.time_us(number)),
        )
    }

    pub fn batch(&self, first: u64, last: u64) -> String {
        let mut batch = BatchWriter::new();
        (first..last).for_each(|number| batch.push(&self.event(number)));
        batch.finish()
    }

    /// A usage record for every few events.
    pub fn records(&self, first: u64, last: u64) -> impl Iterator<Item = er_metering::Result<Record>> + '_ {
        let step = usize::try_from(self.events_per_record).unwrap_or(1).max(1);
        (first..last).step_by(step).map(|number| {
            let used = Quantities::of(Meter::EventsIn, self.events_per_record)?
                .with(Meter::BytesIn, self.events_per_record * 900)?
                .with(Meter::Deliveries, self.events_per_record)?;
            Record::new(&self.tenant(number), &format!("raw.{number}"), Time::from_us(self.time_us(number))?, used)
        })
    }
}

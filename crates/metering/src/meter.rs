//! What is counted, and counts of it.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::QUANTITY_MAX;
use crate::{Error, Result};

/// One thing that is counted, always in the same whole unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Events that were let in, each (source, id) once: sent by clients, or emitted by consumers.
    EventsIn,
    /// Events that left: taken by a consumer, or sent to a client by the live tail.
    EventsOut,
    /// Bytes of the events that were let in, each as it lies in the raw stream: a CloudEvent in the JSON format.
    BytesIn,
    /// Bytes of the events that left.
    BytesOut,
    /// Rules that were evaluated: every rule of the set once for each event, those that rules made included.
    RuleEvaluations,
    /// Attempts to deliver one event to one consumer, those that failed included.
    Deliveries,
    /// Wall time inside a tenant's consumer, in microseconds.
    ConsumerUs,
    /// The consumer's memory limit in MiB times its wall time in microseconds. 1 GiB·h is 3,686,400,000,000 of them.
    MemoryMibUs,
}

/// A count for each meter. What is not counted is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantities([u64; Meter::COUNT]);

// === impl Meter ===

impl Meter {
    pub const COUNT: usize = 8;
    pub const ALL: [Meter; Meter::COUNT] = [
        Meter::EventsIn,
        Meter::EventsOut,
        Meter::BytesIn,
        Meter::BytesOut,
        Meter::RuleEvaluations,
        Meter::Deliveries,
        Meter::ConsumerUs,
        Meter::MemoryMibUs,
    ];

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Meter::EventsIn => "events_in",
            Meter::EventsOut => "events_out",
            Meter::BytesIn => "bytes_in",
            Meter::BytesOut => "bytes_out",
            Meter::RuleEvaluations => "rule_evaluations",
            Meter::Deliveries => "deliveries",
            Meter::ConsumerUs => "consumer_us",
            Meter::MemoryMibUs => "memory_mib_us",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.name() == name)
    }

    /// For people, after a number.
    pub fn unit(self) -> &'static str {
        match self {
            Meter::EventsIn | Meter::EventsOut => "events",
            Meter::BytesIn | Meter::BytesOut => "bytes",
            Meter::RuleEvaluations => "evaluations",
            Meter::Deliveries => "deliveries",
            Meter::ConsumerUs => "µs",
            Meter::MemoryMibUs => "MiB·µs",
        }
    }

    /// Every name, for messages.
    pub(crate) fn names() -> String {
        Self::ALL.map(Meter::name).join(", ")
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Quantities ===

impl Quantities {
    /// One count of one meter.
    pub fn of(meter: Meter, quantity: u64) -> Result<Self> {
        Self::default().with(meter, quantity)
    }

    /// Adds to one meter.
    pub fn with(mut self, meter: Meter, quantity: u64) -> Result<Self> {
        let slot = self.0.get_mut(meter as usize);
        if let Some(slot) = slot {
            *slot = sum(*slot, quantity)?;
        }
        Ok(self)
    }

    pub fn get(&self, meter: Meter) -> u64 {
        self.0.get(meter as usize).copied().unwrap_or_default()
    }

    /// The sums, if every one of them can be counted.
    pub fn plus(mut self, other: &Self) -> Result<Self> {
        for (slot, more) in self.0.iter_mut().zip(other.0) {
            *slot = sum(*slot, more)?;
        }
        Ok(self)
    }

    /// Of each meter the smaller count.
    pub fn least(mut self, other: &Self) -> Self {
        for (slot, other) in self.0.iter_mut().zip(other.0) {
            *slot = other.min(*slot);
        }
        self
    }

    /// What is left; never below zero.
    pub(crate) fn minus(mut self, other: &Self) -> Self {
        for (slot, less) in self.0.iter_mut().zip(other.0) {
            *slot = slot.saturating_sub(less);
        }
        self
    }

    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|quantity| *quantity == 0)
    }

    /// What is counted, without zeros, in the order of [`Meter::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL.into_iter().zip(self.0).filter(|(_, quantity)| *quantity > 0)
    }
}

fn sum(one: u64, other: u64) -> Result<u64> {
    one.checked_add(other).filter(|sum| *sum <= QUANTITY_MAX).ok_or(Error::Overflow("a count"))
}

impl Serialize for Quantities {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Counts)
    }
}

struct Counts;

impl<'de> Visitor<'de> for Counts {
    type Value = Quantities;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of meters and counts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Quantities, A::Error> {
        let mut met = Quantities::default();
        let mut counts = Quantities::default();
        // A meter that we don't know, or know twice, would be money lost: better no record than half of one.
        while let Some((meter, quantity)) = map.next_entry::<Meter, u64>()? {
            if met.get(meter) > 0 {
                return Err(serde::de::Error::custom(format!("{meter} is given twice")));
            }
            met = met.with(meter, 1).map_err(serde::de::Error::custom)?;
            counts = counts.with(meter, quantity).map_err(serde::de::Error::custom)?;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meter_is_in_its_place_under_its_name() {
        for (place, meter) in Meter::ALL.into_iter().enumerate() {
            assert_eq!(meter as usize, place);
            assert_eq!(Meter::from_name(meter.name()), Some(meter));
            assert_eq!(serde_json::to_string(&meter).unwrap(), format!("\"{meter}\""));
        }
    }

    #[test]
    fn counts_are_an_object_without_zeros() {
        let counts = Quantities::of(Meter::BytesOut, 7).unwrap().with(Meter::EventsIn, 2).unwrap();
        let text = r#"{"events_in":2,"bytes_out":7}"#;
        assert_eq!(serde_json::to_string(&counts).unwrap(), text);
        assert_eq!(serde_json::from_str::<Quantities>(text).unwrap(), counts);
        assert!(serde_json::from_str::<Quantities>("{}").unwrap().is_zero());
        for bad in [
            r#"{"events_in":-1}"#,
            r#"{"events_in":1.0}"#,
            r#"{"events":1}"#,
            r#"{"events_in":9223372036854775808}"#,
            r#"{"events_in":1,"events_in":1}"#,
            r#"{"events_in":0,"events_in":1}"#,
        ] {
            assert!(serde_json::from_str::<Quantities>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sum_beyond_the_limit_is_an_error() {
        let most = Quantities::of(Meter::BytesIn, QUANTITY_MAX).unwrap();
        assert!(most.plus(&Quantities::of(Meter::BytesOut, QUANTITY_MAX).unwrap()).is_ok());
        assert_eq!(most.plus(&Quantities::of(Meter::BytesIn, 1).unwrap()), Err(Error::Overflow("a count")));
        assert!(Quantities::of(Meter::BytesIn, QUANTITY_MAX + 1).is_err());
    }
}

//! Plans: what is charged, as data.

mod check;
mod file;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::PLAN_BYTES_MAX;
use crate::{Currency, Error, Meter, Money, Price, Result};

/// What a month costs. Made from JSON only, so every plan there is is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "file::File", into = "file::File")]
pub struct Plan {
    pub(crate) name: String,
    pub(crate) currency: Currency,
    /// Each month, used or not.
    pub(crate) fee_minor: i64,
    /// What a month costs at least, the fee included.
    pub(crate) minimum_minor: i64,
    /// One for each meter that costs something, in the order of the meters.
    pub(crate) charges: Vec<Charge>,
}

/// What one meter costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub meter: Meter,
    /// Units of a month that cost nothing. They come first.
    pub free: u64,
    pub pricing: Pricing,
}

/// How units become money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// All units at one price.
    PerUnit(Price),
    /// Each unit at the price of the tier that it falls in.
    Graduated(Vec<Tier>),
    /// All units at the price of the tier that the last one falls in.
    Volume(Vec<Tier>),
    /// Whole packages of `per` units.
    Package(Price),
}

/// Units up to and with `up_to`; of the last tier, all that are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub up_to: Option<u64>,
    pub price: Price,
}

/// One thing wrong with a plan: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// As `charges[0].price.graduated[1].up_to`.
    pub at: String,
    pub what: String,
    pub mend: String,
}

// === impl Plan ===

impl Plan {
    /// Reads a plan. [`Error::Plan`] has every fault in it; of text that is no plan at all, the first.
    pub fn from_json(text: &str) -> Result<Self> {
        let fault = |what: String, mend: &str| Error::Plan(vec![Fault { at: "plan".into(), what, mend: mend.into() }]);
        if text.len() > PLAN_BYTES_MAX {
            return Err(fault(format!("{} bytes", text.len()), &format!("keep to {PLAN_BYTES_MAX} bytes")));
        }
        let file: file::File =
            serde_json::from_str(text).map_err(|error| fault(error.to_string(), "write what docs/billing.md shows"))?;
        check::plan(file).map_err(Error::Plan)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    pub fn fee(&self) -> Money {
        Money::new(self.fee_minor, self.currency)
    }

    pub fn minimum(&self) -> Money {
        Money::new(self.minimum_minor, self.currency)
    }

    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }
}

impl TryFrom<file::File> for Plan {
    type Error = Error;

    fn try_from(file: file::File) -> Result<Self> {
        check::plan(file).map_err(Error::Plan)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.at, self.what, self.mend)
    }
}

//! A plan as it is written. Amounts are text: a JSON number with a point is a float to most who read it.

use serde::{Deserialize, Serialize};

use super::{Charge, Plan, Pricing, Tier};
use crate::Price;

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PlanFile"))]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) currency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) monthly_fee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) minimum: Option<String>,
    #[serde(default)]
    pub(super) charges: Vec<ChargeFile>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PlanCharge"))]
#[serde(deny_unknown_fields)]
pub(super) struct ChargeFile {
    pub(super) meter: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) free: u64,
    pub(super) price: PricingFile,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PlanPricing"))]
#[serde(rename_all = "snake_case")]
pub(super) enum PricingFile {
    PerUnit(PriceFile),
    Graduated(Vec<TierFile>),
    Volume(Vec<TierFile>),
    Package(PriceFile),
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PlanPrice"))]
#[serde(deny_unknown_fields)]
pub(super) struct PriceFile {
    pub(super) amount: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) per: u64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PlanTier"))]
#[serde(deny_unknown_fields)]
pub(super) struct TierFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) up_to: Option<u64>,
    pub(super) amount: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) per: u64,
}

fn one() -> u64 {
    1
}

fn is_one(number: &u64) -> bool {
    *number == 1
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

// === impl File ===

impl From<Plan> for File {
    fn from(plan: Plan) -> Self {
        File {
            monthly_fee: (plan.fee_minor != 0).then(|| plan.fee().decimal()),
            minimum: (plan.minimum_minor != 0).then(|| plan.minimum().decimal()),
            charges: plan.charges.into_iter().map(ChargeFile::from).collect(),
            currency: plan.currency.to_string(),
            name: plan.name,
        }
    }
}

impl From<Charge> for ChargeFile {
    fn from(charge: Charge) -> Self {
        let tiers = |tiers: Vec<Tier>| tiers.into_iter().map(TierFile::from).collect();
        let price = match charge.pricing {
            Pricing::PerUnit(price) => PricingFile::PerUnit(price.into()),
            Pricing::Graduated(list) => PricingFile::Graduated(tiers(list)),
            Pricing::Volume(list) => PricingFile::Volume(tiers(list)),
            Pricing::Package(price) => PricingFile::Package(price.into()),
        };
        ChargeFile { meter: charge.meter.name().into(), free: charge.free, price }
    }
}

impl From<Price> for PriceFile {
    fn from(price: Price) -> Self {
        PriceFile { amount: price.amount(), per: price.per() }
    }
}

impl From<Tier> for TierFile {
    fn from(tier: Tier) -> Self {
        TierFile { up_to: tier.up_to, amount: tier.price.amount(), per: tier.price.per() }
    }
}

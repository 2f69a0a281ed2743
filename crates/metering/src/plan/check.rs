//! From a plan as written to a plan, or to all that is wrong with it.

use super::file::{ChargeFile, File, PricingFile, TierFile};
use super::{Charge, Fault, Plan, Pricing, Tier};
use crate::limits::{PLAN_CHARGES_MAX, PLAN_NAME_CHARS_MAX, PLAN_TIERS_MAX, QUANTITY_MAX};
use crate::{Currency, Meter, Money, Price};

pub(super) fn plan(file: File) -> Result<Plan, Vec<Fault>> {
    let mut faults = Faults(Vec::new());
    let length = file.name.chars().count();
    if length == 0 || length > PLAN_NAME_CHARS_MAX || file.name.chars().any(char::is_control) {
        faults.add(
            "name",
            "it is empty, too long, or has control characters",
            &format!("give it 1 to {PLAN_NAME_CHARS_MAX} letters"),
        );
    }
    let currency = match Currency::from_code(&file.currency) {
        Ok(currency) => Some(currency),
        Err(_) => {
            let what = format!("{:?} is no currency that we know", file.currency);
            faults.add("currency", &what, "write the three capital letters of ISO 4217, as USD");
            None
        }
    };
    let fee_minor = faults.money("monthly_fee", file.monthly_fee, currency);
    let minimum_minor = faults.money("minimum", file.minimum, currency);
    let mut charges = faults.charges(file.charges);
    charges.sort_by_key(|charge| charge.meter);
    match currency {
        Some(currency) if faults.0.is_empty() => {
            Ok(Plan { name: file.name, currency, fee_minor, minimum_minor, charges })
        }
        _ => Err(faults.0),
    }
}

struct Faults(Vec<Fault>);

// === impl Faults ===

impl Faults {
    fn add(&mut self, at: &str, what: &str, mend: &str) {
        self.0.push(Fault { at: at.into(), what: what.into(), mend: mend.into() });
    }

    /// Of a plan without a good currency, nothing can be said of an amount.
    fn money(&mut self, at: &str, text: Option<String>, currency: Option<Currency>) -> i64 {
        let (Some(text), Some(currency)) = (text, currency) else { return 0 };
        match Money::parse(&text, currency) {
            Ok(money) if !text.starts_with('-') => money.minor,
            _ => {
                let mend = format!("write digits in quotes, at most {} after a point", currency.digits());
                self.add(at, &format!("{text:?} is no amount of {currency} from 0 up"), &mend);
                0
            }
        }
    }

    fn charges(&mut self, files: Vec<ChargeFile>) -> Vec<Charge> {
        if files.len() > PLAN_CHARGES_MAX {
            self.add("charges", &format!("there are {}", files.len()), "charge each meter once");
            return Vec::new();
        }
        let mut charges: Vec<Charge> = Vec::new();
        for (place, file) in files.into_iter().enumerate() {
            let at = format!("charges[{place}]");
            if file.free > QUANTITY_MAX {
                self.add(&format!("{at}.free"), "more than can be counted", &format!("at most {QUANTITY_MAX}"));
            }
            let pricing = self.pricing(&at, file.price);
            let Some(meter) = Meter::from_name(&file.meter) else {
                let what = format!("{:?} is no meter", file.meter);
                self.add(&format!("{at}.meter"), &what, &format!("use one of {}", Meter::names()));
                continue;
            };
            if charges.iter().any(|charge| charge.meter == meter) {
                let what = format!("{meter} is charged before");
                self.add(&format!("{at}.meter"), &what, "charge each meter once");
            }
            if let Some(pricing) = pricing {
                charges.push(Charge { meter, free: file.free, pricing });
            }
        }
        charges
    }

    fn pricing(&mut self, at: &str, file: PricingFile) -> Option<Pricing> {
        Some(match file {
            PricingFile::PerUnit(price) => {
                Pricing::PerUnit(self.price(&format!("{at}.price.per_unit"), &price.amount, price.per)?)
            }
            PricingFile::Package(price) => {
                Pricing::Package(self.price(&format!("{at}.price.package"), &price.amount, price.per)?)
            }
            PricingFile::Graduated(tiers) => Pricing::Graduated(self.tiers(&format!("{at}.price.graduated"), tiers)),
            PricingFile::Volume(tiers) => Pricing::Volume(self.tiers(&format!("{at}.price.volume"), tiers)),
        })
    }

    fn price(&mut self, at: &str, amount: &str, per: u64) -> Option<Price> {
        Price::parse(amount, per)
            .map_err(|what| self.add(at, &what, "write as \"amount\": \"0.40\", \"per\": 1000000"))
            .ok()
    }

    fn tiers(&mut self, at: &str, files: Vec<TierFile>) -> Vec<Tier> {
        if files.is_empty() || files.len() > PLAN_TIERS_MAX {
            self.add(at, &format!("{} tiers", files.len()), &format!("write 1 to {PLAN_TIERS_MAX}"));
            return Vec::new();
        }
        let last = files.len().saturating_sub(1);
        let mut before = 0;
        let mut tiers = Vec::new();
        for (place, file) in files.into_iter().enumerate() {
            let at = format!("{at}[{place}]");
            let border = format!("{at}.up_to");
            match file.up_to {
                Some(_) if place == last => {
                    self.add(&border, "the last tier ends, and more than it holds has no price", "leave it out");
                }
                None if place != last => {
                    self.add(&border, "a tier without an end has others after it", "say where it ends");
                }
                Some(up_to) if up_to <= before || up_to > QUANTITY_MAX => {
                    let mend = format!("go up from tier to tier, from over {before} to at most {QUANTITY_MAX}");
                    self.add(&border, &format!("{up_to} does not come after {before}"), &mend);
                }
                _ => {}
            }
            before = file.up_to.unwrap_or(before).max(before);
            if let Some(price) = self.price(&at, &file.amount, file.per) {
                tiers.push(Tier { up_to: file.up_to, price });
            }
        }
        tiers
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, Plan};

    const PLAN: &str = r#"{"name":"Team","currency":"USD","monthly_fee":"49.00","minimum":"60.00","charges":[{"meter":"events_in","free":1000,"price":{"graduated":[{"up_to":10,"amount":"0.4","per":1000000},{"amount":"0.1"}]}},{"meter":"bytes_out","price":{"package":{"amount":"5","per":1000}}}]}"#;

    fn faults(text: &str) -> Vec<String> {
        match Plan::from_json(text) {
            Err(Error::Plan(faults)) => faults.iter().map(|fault| format!("{}: {}", fault.at, fault.what)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plan_reads_back_as_written() {
        let plan = Plan::from_json(PLAN).unwrap();
        assert_eq!(serde_json::to_string(&plan).unwrap(), PLAN);
        assert_eq!(serde_json::from_str::<Plan>(PLAN).unwrap(), plan);
        assert!(Plan::from_json(r#"{"name":"Free","currency":"JPY"}"#).unwrap().charges().is_empty());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let text = r#"{"name":"","currency":"JPY","monthly_fee":"1.5","minimum":"-1","charges":[
            {"meter":"events","price":{"per_unit":{"amount":"1,5"}}},
            {"meter":"events_in","free":9223372036854775808,"price":{"per_unit":{"amount":"1","per":0}}},
            {"meter":"bytes_in","price":{"volume":[{"amount":"1"},{"up_to":5,"amount":"1"},{"up_to":5,"amount":"1"},{"up_to":9,"amount":"1"}]}},
            {"meter":"bytes_in","price":{"graduated":[]}}]}"#;
        let told = faults(text);
        let places: Vec<&str> = told.iter().filter_map(|fault| fault.split_once(": ")).map(|(at, _)| at).collect();
        assert_eq!(
            places,
            [
                "name",
                "monthly_fee",
                "minimum",
                "charges[0].price.per_unit",
                "charges[0].meter",
                "charges[1].free",
                "charges[1].price.per_unit",
                "charges[2].price.volume[0].up_to",
                "charges[2].price.volume[2].up_to",
                "charges[2].price.volume[3].up_to",
                "charges[3].price.graduated",
                "charges[3].meter",
            ],
            "{told:#?}"
        );
        let error = Plan::from_json(text).unwrap_err().to_string();
        assert!(error.contains("use one of events_in, events_out"), "{error}");
        assert!(serde_json::from_str::<Plan>(text).unwrap_err().to_string().contains("charges[3].meter"));
    }

    #[test]
    fn text_that_is_no_plan_tells_where() {
        for (text, says) in [
            ("{", "line 1 column 1"),
            (&PLAN.replace("minimum", "minimal"), "unknown field `minimal`"),
            (&PLAN.replace("\"49.00\"", "49.00"), "floating point"),
            (&PLAN.replace("\"free\":1000", "\"free\":-1"), "invalid value"),
            (&PLAN.replace("graduated", "stairs"), "unknown variant `stairs`"),
        ] {
            let told = faults(text);
            assert!(told.len() == 1 && told[0].contains(says), "{told:?}");
        }
        assert!(faults(&" ".repeat(70_000))[0].contains("70000 bytes"));
    }
}

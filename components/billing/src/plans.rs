//! Plans on offer, and which of them a tenant has from when on.

use er_metering::{Plan, Subscription, Time, Window};
use er_tenant::billing::{
    plan_path, subscription_path, valid_plan_key, BILLING_BUCKET, EVERY_PLAN, PLAN_KEY_CHARS_MAX,
};
use er_tenant::{OPERATOR, TENANTS_BUCKET};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::backend::{Backend, Fault, FaultCode};
use crate::fault::{defect, invalid, not_found, OrFault as _};
use crate::usage::minute_after;

/// Plans on offer that are shown.
const PLANS_MAX: u32 = 1_000;
/// A change is tried again this often when somebody else's comes between.
const ATTEMPTS_MAX: usize = 5;

/// The body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change<'a> {
    /// The name of a plan on offer, or a plan of the tenant's own.
    #[serde(borrow)]
    plan: &'a RawValue,
    #[serde(default)]
    effective_from: Option<Time>,
}

/// What a tenant has, if it has any.
pub fn held(backend: &dyn Backend, tenant: &str) -> Result<Subscription, Fault> {
    let (found, _) = find(backend, tenant)?;
    found.ok_or_else(|| {
        not_found(format!(
            "{tenant} has no plan, so nothing is charged; an operator gives it one with PUT /api/v1/tenants/{tenant}/plan"
        ))
    })
}

pub fn read(tenant: &str, value: &str) -> Result<Subscription, Fault> {
    serde_json::from_str(value).map_err(|cause| defect(format!("the plans of {tenant} can't be read: {cause}")))
}

fn find(backend: &dyn Backend, tenant: &str) -> Result<(Option<Subscription>, Option<u64>), Fault> {
    match backend.kv_get(BILLING_BUCKET, &subscription_path(tenant))? {
        Some(item) => Ok((Some(read(tenant, &item.value)?), Some(item.revision))),
        None => Ok((None, None)),
    }
}

pub fn subscription(backend: &dyn Backend, tenant: &str) -> Result<String, Fault> {
    serde_json::to_string(&held(backend, tenant)?).map_err(defect)
}

pub fn subscribe(backend: &dyn Backend, tenant: &str, change: &str) -> Result<String, Fault> {
    if tenant == OPERATOR || backend.kv_get(TENANTS_BUCKET, tenant)?.is_none() {
        return Err(not_found(format!("there is no tenant {tenant}")));
    }
    let change: Change<'_> = serde_json::from_str(change)
        .map_err(|cause| invalid(format!("{cause}; send {{\"plan\": NAME or PLAN, \"effective_from\"?: TIME}}")))?;
    let plan = match serde_json::from_str::<String>(change.plan.get()) {
        Ok(name) => offered(backend, &name)?,
        Err(_) => Plan::from_json(change.plan.get()).or_fault()?,
    };
    let mut conflict = None;
    for _ in 0..ATTEMPTS_MAX {
        let (found, revision) = find(backend, tenant)?;
        let now = backend.now()?;
        let subscription = match found {
            Some(mut subscription) => {
                let from = change.effective_from.map_or_else(|| minute_after(now), Ok)?;
                subscription.change(from, plan.clone(), now).or_fault()?;
                subscription
            }
            None => first(change.effective_from, plan.clone(), now)?,
        };
        let text = serde_json::to_string(&subscription).map_err(defect)?;
        let written = match revision {
            Some(_) => backend.kv_put(BILLING_BUCKET, &subscription_path(tenant), &text, revision),
            None => backend.kv_create(BILLING_BUCKET, &subscription_path(tenant), &text),
        };
        match written {
            Ok(_) => return Ok(text),
            Err(fault) if fault.code == FaultCode::Conflict => conflict = Some(fault),
            Err(fault) => return Err(fault),
        }
    }
    Err(conflict.unwrap_or_else(|| defect("no attempt was made")))
}

/// Where a tenant had no plan nothing has a price yet, so its first one may begin earlier this month. By itself it
/// begins with the minute that it is, so that a tenant's first events are not free.
fn first(effective_from: Option<Time>, plan: Plan, now: Time) -> Result<Subscription, Fault> {
    let from = effective_from.unwrap_or_else(|| Window::Minute.start(now));
    let month = Window::Month.start(now);
    if from < month {
        return Err(invalid(format!(
            "a first plan can begin at {month}, the begin of this month, or later; not at {from}"
        )));
    }
    Subscription::new(from, plan).or_fault()
}

fn offered(backend: &dyn Backend, name: &str) -> Result<Plan, Fault> {
    let missing = || not_found(format!("there is no plan {name} on offer; GET /api/v1/plans lists them"));
    if !valid_plan_key(name) {
        return Err(missing());
    }
    let item = backend.kv_get(BILLING_BUCKET, &plan_path(name))?.ok_or_else(missing)?;
    Plan::from_json(&item.value).map_err(|cause| defect(format!("the plan {name} can't be read: {cause}")))
}

pub fn list(backend: &dyn Backend) -> Result<String, Fault> {
    let items = backend.kv_scan(BILLING_BUCKET, EVERY_PLAN, None, PLANS_MAX)?;
    let plans = items.iter().map(|item| {
        let plan: &RawValue = serde_json::from_str(&item.value).map_err(defect)?;
        Ok(json!({ "id": item.key.trim_start_matches("plan."), "plan": plan }))
    });
    Ok(json!({ "items": plans.collect::<Result<Vec<_>, Fault>>()? }).to_string())
}

pub fn show(backend: &dyn Backend, name: &str) -> Result<String, Fault> {
    serde_json::to_string(&offered(backend, name)?).map_err(defect)
}

pub fn save(backend: &dyn Backend, name: &str, plan: &str) -> Result<String, Fault> {
    if !valid_plan_key(name) {
        return Err(invalid(format!("`{name}` can't name a plan: use 1 to {PLAN_KEY_CHARS_MAX} of a-z, 0-9 and -")));
    }
    let plan = Plan::from_json(plan).or_fault()?;
    let text = serde_json::to_string(&plan).map_err(defect)?;
    backend.kv_put(BILLING_BUCKET, &plan_path(name), &text, None)?;
    Ok(text)
}

//! From usage records to invoices. The arithmetic is `er-metering`'s; here it gets what it is about: records go to the
//! analytics, plans and invoices rest in a bucket, and months are closed.

mod backend;
mod close;
mod fault;
mod invoices;
mod plans;
#[cfg(test)]
mod tests;
mod usage;

use backend::{Backend as _, Linked};
use bindings::eventrunner::platform::types::Fault;
use bindings::exports::eventrunner::platform::accounts::{self, Document, Format};
use bindings::exports::eventrunner::platform::collector;

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "billing-component" });
    use super::Billing;
    export!(Billing);
}

struct Billing;

impl collector::Guest for Billing {
    fn collect(records: String) -> Result<(), Fault> {
        Linked.insert(&records)
    }

    fn close(settled_us: u64) -> Result<u32, Fault> {
        close::close(&Linked, settled_us)
    }
}

impl accounts::Guest for Billing {
    fn usage(
        tenant: String,
        window: String,
        since: Option<String>,
        until: Option<String>,
        meters: Vec<String>,
        format: Format,
    ) -> Result<Document, Fault> {
        usage::report(&Linked, &tenant, &usage::Asked { window, since, until, meters }, format)
    }

    fn invoices(tenant: String) -> Result<String, Fault> {
        invoices::list(&Linked, &tenant)
    }

    fn invoice(tenant: String, id: Option<String>, format: Format) -> Result<Document, Fault> {
        invoices::show(&Linked, &tenant, id.as_deref(), format)
    }

    fn verify(tenant: String, id: String) -> Result<String, Fault> {
        invoices::verify(&Linked, &tenant, &id)
    }

    fn issue(tenant: String, id: String) -> Result<String, Fault> {
        invoices::issue(&Linked, &tenant, &id)
    }

    fn void(tenant: String, id: String) -> Result<String, Fault> {
        invoices::void(&Linked, &tenant, &id)
    }

    fn subscription(tenant: String) -> Result<String, Fault> {
        plans::subscription(&Linked, &tenant)
    }

    fn subscribe(tenant: String, change: String) -> Result<String, Fault> {
        plans::subscribe(&Linked, &tenant, &change)
    }

    fn plans() -> Result<String, Fault> {
        plans::list(&Linked)
    }

    fn plan(name: String) -> Result<String, Fault> {
        plans::show(&Linked, &name)
    }

    fn save_plan(name: String, plan: String) -> Result<String, Fault> {
        plans::save(&Linked, &name, &plan)
    }
}

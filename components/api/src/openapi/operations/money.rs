//! Usage, invoices and plans.

use er_metering::{Invoice, Plan, Report, Subscription};
use serde_json::json;

use crate::openapi::operation::{get, one_of, post, put, text, time, Operation};
use crate::openapi::schemas::Schemas;
use crate::openapi::wire::{meters, InvoiceProof, Invoices, Plans, Subscribe};

pub fn money(s: &Schemas) -> Vec<Operation> {
    let plan = || {
        json!({ "name": "Team", "currency": "USD", "monthly_fee": "20.00",
            "charges": [{ "meter": "events_in", "free": 1000, "price": { "per_unit": { "amount": "0.40", "per": 1_000_000 } } }] })
    };
    let meters = json!({ "type": "array", "items": { "enum": meters() } });
    vec![
        shown(get("/api/v1/usage/{tenant}", "getUsage", "What a tenant used, by window and meter"))
            .query("window", "How long a window is (a day).", one_of(&["minute", "hour", "day", "month"]))
            .query("from", "From the minute that it is in; none: from the begin of this month.", time())
            .query("to", "Up to the end of the minute; none: up to now.", time())
            .listed("meters", "Only of these.", meters)
            .answers::<Report>(s, 200, "A row for each meter in each window of something."),
        get("/api/v1/invoices/{tenant}", "listInvoices", "Invoices, newest first").answers::<Invoices>(
            s,
            200,
            "All of them, this month's draft among them.",
        ),
        shown(get("/api/v1/invoice/{tenant}", "getDraft", "The newest invoice: this month's draft"))
            .answers::<Invoice>(s, 200, "The invoice.")
            .refuses(&[409]),
        shown(get("/api/v1/invoice/{tenant}/{id}", "getInvoice", "An invoice"))
            .answers::<Invoice>(s, 200, "The invoice.")
            .refuses(&[409]),
        get("/api/v1/invoice/{tenant}/{id}/proof", "proveInvoice", "An invoice computed again")
            .answers::<InvoiceProof>(s, 200, "Where it differs; nowhere is proof.")
            .refuses(&[409]),
        post("/api/v1/invoice/{tenant}/{id}/issue", "issueInvoice", "Make the draft of a month that is over final")
            .about("It happens by itself, but for a month whose invoice was made void.")
            .once()
            .answers::<Invoice>(s, 200, "The invoice."),
        post("/api/v1/invoice/{tenant}/{id}/void", "voidInvoice", "Take an issued invoice back whole")
            .once()
            .answers::<Invoice>(s, 200, "The invoice."),
        get("/api/v1/tenants/{tenant}/plan", "getSubscription", "A tenant's plans, one after the other")
            .answers::<Subscription>(s, 200, "From when which plan holds."),
        put("/api/v1/tenants/{tenant}/plan", "putSubscription", "Let a plan hold from some time on")
            .about("The past keeps its prices.")
            .sends::<Subscribe>(s, json!({ "plan": "team" }))
            .answers::<Subscription>(s, 200, "From when which plan holds."),
        get("/api/v1/plans", "listPlans", "Plans on offer").answers::<Plans>(s, 200, "All of them."),
        get("/api/v1/plans/{name}", "getPlan", "A plan on offer").answers::<Plan>(s, 200, "The plan."),
        put("/api/v1/plans/{name}", "putPlan", "Offer a plan, for subscriptions to come")
            .about("docs/billing.md has what a plan says.")
            .sends::<Plan>(s, plan())
            .answers::<Plan>(s, 200, "The plan, as it was understood."),
    ]
}

/// For people, too.
fn shown(operation: Operation) -> Operation {
    operation
        .query("format", "What to show it as; none: what `Accept` names, else JSON.", one_of(&["json", "csv", "html"]))
        .answers_as(200, "What was asked for.", "text/csv; charset=utf-8", text())
        .answers_as(200, "What was asked for.", "text/html; charset=utf-8", text())
}

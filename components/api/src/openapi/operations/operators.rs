//! Keys, members, tenants and policies.

use er_tenant::members::{MemberRecord, NewMember};
use er_tenant::{NewKey, NewTenant, TenantPatch, TenantRecord};
use serde_json::{json, Map, Value};

use crate::keys::{Created, Keys};
use crate::members::Members;
use crate::openapi::operation::{bytes, delete, get, patch, post, put, Operation};
use crate::openapi::schemas::Schemas;
use crate::openapi::wire::{PolicyState, PolicyVersions};
use crate::policies::{Activate, Kept};
use crate::tenants::{TenantDeleted, Tenants};

pub fn keys(s: &Schemas) -> Vec<Operation> {
    vec![
        listed(s, get("/api/v1/keys", "listOwnKeys", "Your tenant's API keys")).of_tenant(),
        made(s, post("/api/v1/keys", "createOwnKey", "Make an API key of your tenant")).of_tenant(),
        revoked(delete("/api/v1/keys/{key}", "deleteOwnKey", "Revoke an API key of your tenant")).of_tenant(),
        listed(s, get("/api/v1/tenants/{tenant}/keys", "listKeys", "A tenant's API keys")),
        made(s, post("/api/v1/tenants/{tenant}/keys", "createKey", "Make an API key")),
        revoked(delete("/api/v1/tenants/{tenant}/keys/{key}", "deleteKey", "Revoke an API key")),
    ]
}

fn listed(s: &Schemas, operation: Operation) -> Operation {
    operation.answers::<Keys>(s, 200, "All of them, without what opens.")
}

fn made(s: &Schemas, operation: Operation) -> Operation {
    operation
        .about("A tenant has at most 200.")
        .once()
        .tells("Location")
        .sends::<NewKey>(s, json!({ "role": "publisher", "name": "shop" }))
        .answers::<Created>(s, 201, "Its record and, this once, the key.")
}

fn revoked(operation: Operation) -> Operation {
    operation
        .about("The API refuses it at once, the ingest edge within 3 s.")
        .answers_nothing(204, "It opens nothing any more.")
}

pub fn members(s: &Schemas) -> Vec<Operation> {
    let example = || json!({ "role": "event_publisher" });
    vec![
        get("/api/v1/tenants/{tenant}/members", "listMembers", "Who may come into a tenant, and as what")
            .about(
                "Members come through the gateway, with a token of the identity provider. A tenant has at most 1,000.",
            )
            .answers::<Members>(s, 200, "All of them."),
        get("/api/v1/tenants/{tenant}/members/{user}", "getMember", "A member").answers::<MemberRecord>(
            s,
            200,
            "Their record.",
        ),
        put(
            "/api/v1/tenants/{tenant}/members/{user}",
            "putMember",
            "Make somebody a member, or another kind of member",
        )
        .about("The gateway lets them in within 5 s.")
        .sends::<NewMember>(s, example())
        .answers::<MemberRecord>(s, 200, "They were a member already; their record.")
        .answers::<MemberRecord>(s, 201, "Their record."),
        delete("/api/v1/tenants/{tenant}/members/{user}", "deleteMember", "Let a member in no more")
            .about("API and ingest refuse them at once, within the 3 s that ingest remembers; the gateway within 5 s.")
            .answers_nothing(204, "They are nobody here any more."),
    ]
}

pub fn tenants(s: &Schemas) -> Vec<Operation> {
    vec![
        get("/api/v1/tenants", "listTenants", "Tenants, by id").paged(true).answers::<Tenants>(s, 200, "A page."),
        post("/api/v1/tenants", "createTenant", "Make a tenant")
            .once()
            .tagged()
            .tells("Location")
            .sends::<NewTenant>(
                s,
                json!({ "id": "acme", "name": "Acme", "quota": { "events_per_s": 1000, "burst": 2000 } }),
            )
            .answers::<TenantRecord>(s, 201, "Its record."),
        get("/api/v1/tenants/{tenant}", "getTenant", "A tenant").tagged().answers::<TenantRecord>(
            s,
            200,
            "Its record.",
        ),
        patch("/api/v1/tenants/{tenant}", "changeTenant", "Change a tenant")
            .about("A JSON merge patch: what is absent stays, `null` lifts a limit.")
            .conditional()
            .tagged()
            .sends::<TenantPatch>(s, json!({ "quota": { "burst": 4000 } }))
            .sends_as("application/merge-patch+json", s.body::<TenantPatch>(), None)
            .answers::<TenantRecord>(s, 200, "Its record."),
        delete("/api/v1/tenants/{tenant}", "deleteTenant", "Suspend a tenant, and delete its keys and members")
            .about("Its events are kept.")
            .answers::<TenantDeleted>(s, 200, "What was done, and how to undo it."),
    ]
}

pub fn policies(s: &Schemas) -> Vec<Operation> {
    vec![
        get("/api/v1/policies", "getPolicies", "What decides")
            .about("Its ETag names the last activation.")
            .tells("ETag")
            .answers::<PolicyState>(s, 200, "The policy and data that count, and why others do not."),
        get("/api/v1/policies/versions", "listPolicyVersions", "Every policy and data that is kept")
            .answers::<PolicyVersions>(s, 200, "Newest first."),
        put("/api/v1/policies/data", "putPolicyData", "Keep data, to be laid over a bundle's own")
            .sends::<Map<String, Value>>(s, json!({}))
            .answers::<Kept>(s, 201, "Its revision. It does not count before it is activated."),
        put("/api/v1/policies/bundle", "putPolicyBundle", "Keep a bundle: a tar.gz as scripts/build-policies makes it")
            .sends_as("application/gzip", bytes(), None)
            .answers::<Kept>(s, 201, "Its revision. It does not count before it is activated."),
        post("/api/v1/policies:activate", "activatePolicy", "Let a bundle, and data over it, count from now on")
            .about("An older one is a roll back. `If-Match` is held against the ETag of `GET /api/v1/policies`.")
            .once()
            .conditional()
            .tagged()
            .sends::<Activate>(s, json!({ "bundle": "0123456789abcdef" }))
            .answers::<PolicyState>(s, 200, "What decides now."),
    ]
}

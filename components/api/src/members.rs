//! Members: who of those that the identity provider knows may come into a tenant, and as what.

use er_event::{Kind, Problem};
use er_tenant::auth::Way;
use er_tenant::members::{
    key_subject, member_path, members_of, valid_user, MemberRecord, MemberRole, NewMember, MEMBERS_BUCKET, MEMBERS_MAX,
};
use er_tenant::{Lookup, Principal};
use serde::Serialize;

use crate::auth::{authenticate, has_record, presented};
use crate::backend::{Backend, Item};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::tenants::{find, invalid, read, write};

/// As many as one scan gives, and one tenant can have.
const SCAN_ITEMS_MAX: u32 = 1_000;

/// A tenant's members.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Members {
    members: Vec<MemberRecord>,
}

/// Who calls. `sub` and `extra` are what the gateway reads: who is asked about in Keto, and what its token says.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Whoami {
    /// As Keto's relations name the caller.
    sub: String,
    extra: WhoamiExtra,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WhoamiExtra {
    tenant: String,
    role: MemberRole,
    /// What is stored of the API key in its place: its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

pub fn list(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    let members = scan(backend, tenant)?;
    let members = members.iter().map(|item| read(&item.value)).collect::<Result<Vec<MemberRecord>, _>>()?;
    Response::of(200, &Members { members })
}

pub fn show(backend: &dyn Backend, tenant: &str, user: &str) -> Result<Response, Problem> {
    Response::of(200, &member(backend, tenant, user)?)
}

/// Makes somebody a member, or another kind of member. The same again changes nothing.
pub fn put(
    backend: &dyn Backend,
    tenant: &str,
    user: &str,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let wanted: NewMember = request.json()?;
    let record = wanted.into_record(tenant, user, caller.by(), backend.now_us()).map_err(invalid)?;
    let (there, path) = (scan(backend, tenant)?, member_path(tenant, user));
    let known = there.iter().find(|item| item.key == path);
    if known.is_none() && there.len() >= MEMBERS_MAX {
        return Err(Problem::new(
            Kind::Unprocessable,
            format!("{tenant} has {MEMBERS_MAX} members, the most a tenant may have"),
        )
        .mend("Remove members who no longer come."));
    }
    backend.kv_put(MEMBERS_BUCKET, &path, &write(&record)?, None).or_problem()?;
    Response::of(if known.is_some() { 200 } else { 201 }, &record)
}

pub fn delete(backend: &dyn Backend, tenant: &str, user: &str) -> Result<Response, Problem> {
    member(backend, tenant, user)?;
    backend.kv_delete(MEMBERS_BUCKET, &member_path(tenant, user)).or_problem()?;
    Ok(Response::empty())
}

/// Takes every member's record away; how many there were.
pub fn delete_all(backend: &dyn Backend, tenant: &str) -> Result<usize, Problem> {
    let mut deleted = 0;
    loop {
        let members = backend.kv_scan(MEMBERS_BUCKET, &members_of(tenant), None, SCAN_ITEMS_MAX).or_problem()?;
        if members.is_empty() {
            return Ok(deleted);
        }
        for member in members {
            backend.kv_delete(MEMBERS_BUCKET, &member.key).or_problem()?;
            deleted += 1;
        }
    }
}

/// Tells callers who they are. The gateway asks so who holds an API key; the answer opens nothing by itself.
pub fn whoami(backend: &dyn Backend, request: &Request<'_>) -> Result<Response, Problem> {
    let caller = authenticate(backend, request, Way::Any)?;
    let key = presented(request).and_then(|key| Lookup::parse(key).ok()).map(|lookup| lookup.hash);
    let sub = match caller.key.strip_prefix("user:") {
        Some(user) => user.to_owned(),
        None => key_subject(&caller.tenant, &caller.key),
    };
    let extra = WhoamiExtra { tenant: caller.tenant, role: MemberRole::of(caller.role), key };
    Response::of(200, &Whoami { sub, extra })
}

fn member(backend: &dyn Backend, tenant: &str, user: &str) -> Result<MemberRecord, Problem> {
    let none = || Problem::new(Kind::NotFound, format!("{tenant} has no member {user}"));
    if !valid_user(user) {
        return Err(none());
    }
    let found = backend.kv_get(MEMBERS_BUCKET, &member_path(tenant, user)).or_problem()?.ok_or_else(none)?;
    read(&found.value)
}

fn scan(backend: &dyn Backend, tenant: &str) -> Result<Vec<Item>, Problem> {
    if has_record(tenant) {
        find(backend, tenant)?;
    }
    backend.kv_scan(MEMBERS_BUCKET, &members_of(tenant), None, SCAN_ITEMS_MAX).or_problem()
}

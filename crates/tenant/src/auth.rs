//! Who calls, by what they show: an API key, or a token of the gateway. What they may do is in the records of this moment,
//! and never in what they show.

use er_event::keys::Role;

use crate::gateway::{Gateway, GATEWAY_BUCKET, GATEWAY_PATH};
use crate::members::{member_path, MemberRecord, MEMBERS_BUCKET};
use crate::token::{is_token, verify, Caller, Refused};
use crate::{check, Denied, Lookup, Principal, Quota, TenantRecord, KEYS_BUCKET, OPERATOR, TENANTS_BUCKET};

/// Which way a request may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the gateway, where the platform has one that all must come through.
    Gateway,
    /// Any: the gateway itself asks, who holds this key.
    Any,
}

/// Why nobody is let in. `F` is how a look-up fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal<F> {
    #[error(transparent)]
    Key(#[from] Denied),
    #[error(transparent)]
    Token(Refused),
    #[error("there is no gateway whose tokens count")]
    NoGateway,
    /// Whether the tenant exists, is suspended, or has no such member.
    #[error("the token names nobody who may come in")]
    NoMember,
    #[error("API keys count at the gateway only")]
    Around,
    /// Nothing is known against the caller: to be asked again.
    #[error("{0}")]
    Away(&'static str),
    #[error("a look-up failed")]
    Fault(F),
}

/// Decides on what the caller shows. `get` looks a record up: bucket, key.
///
/// # Errors
/// Why nobody is let in.
pub fn authenticate<F>(
    credential: &str,
    way: Way,
    now_us: i64,
    get: impl Fn(&str, &str) -> Result<Option<String>, F>,
) -> Result<Principal, Refusal<F>> {
    let get = |bucket: &str, key: &str| get(bucket, key).map_err(Refusal::Fault);
    if is_token(credential) {
        return by_token(credential, &gateway(&get)?.ok_or(Refusal::NoGateway)?, now_us, &get);
    }
    let principal = by_key(&Lookup::parse(credential)?, now_us, &get)?;
    // Operators stay in, so that somebody can mend a gateway that lets nobody through.
    if way == Way::Gateway && principal.role != Role::Operator && gateway(&get)?.is_some_and(|gateway| gateway.only) {
        return Err(Refusal::Around);
    }
    Ok(principal)
}

fn by_key<F>(
    lookup: &Lookup,
    now_us: i64,
    get: &impl Fn(&str, &str) -> Result<Option<String>, Refusal<F>>,
) -> Result<Principal, Refusal<F>> {
    let key = get(KEYS_BUCKET, &lookup.key_path())?;
    let tenant = match key.is_some() && lookup.needs_tenant() {
        true => get(TENANTS_BUCKET, &lookup.tenant)?,
        false => None,
    };
    Ok(check(lookup, key.as_deref(), tenant.as_deref(), now_us)?)
}

fn by_token<F>(
    token: &str,
    gateway: &Gateway,
    now_us: i64,
    get: &impl Fn(&str, &str) -> Result<Option<String>, Refusal<F>>,
) -> Result<Principal, Refusal<F>> {
    if gateway.issuer.is_empty() {
        return Err(Refusal::NoGateway);
    }
    if !gateway.is_fresh(now_us) {
        return Err(Refusal::Away("the gateway's keys could not be fetched for too long"));
    }
    let claims = verify(token, gateway, now_us).map_err(Refusal::Token)?;
    match claims.caller {
        Caller::Key(hash) => by_key(&Lookup { tenant: claims.tenant, hash }, now_us, get),
        Caller::User(user) => {
            let member = get(MEMBERS_BUCKET, &member_path(&claims.tenant, &user))?.ok_or(Refusal::NoMember)?;
            let tenant = match claims.tenant.as_str() {
                OPERATOR => None,
                tenant => Some(get(TENANTS_BUCKET, tenant)?.ok_or(Refusal::NoMember)?),
            };
            member_principal(&claims.tenant, &user, &member, tenant.as_deref()).ok_or(Refusal::NoMember)
        }
    }
}

fn member_principal(id: &str, user: &str, member: &str, tenant: Option<&str>) -> Option<Principal> {
    let member: MemberRecord = serde_json::from_str(member).ok()?;
    let role = member.role.role();
    if member.user != user || (role == Role::Operator) != (id == OPERATOR) {
        return None;
    }
    let quota = match tenant {
        None => Quota::default(),
        Some(tenant) => {
            let tenant: TenantRecord = serde_json::from_str(tenant).ok()?;
            if tenant.suspended || tenant.id != id {
                return None;
            }
            tenant.quota
        }
    };
    Some(Principal { tenant: id.to_owned(), role, key: format!("user:{user}"), name: String::new(), quota })
}

fn gateway<F>(get: &impl Fn(&str, &str) -> Result<Option<String>, Refusal<F>>) -> Result<Option<Gateway>, Refusal<F>> {
    let Some(record) = get(GATEWAY_BUCKET, GATEWAY_PATH)? else { return Ok(None) };
    // A damaged record must not open what it closes.
    serde_json::from_str(&record).map(Some).map_err(|_| Refusal::Away("what is known of the gateway can't be read"))
}

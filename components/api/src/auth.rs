//! Who calls, and in which tenant's name.

use er_event::keys::{valid_tenant, Action};
use er_event::{Kind, Problem};
use er_tenant::{check, Denied, Lookup, Principal, KEYS_BUCKET, OPERATOR, TENANTS_BUCKET};

use crate::backend::{Backend, Item};
use crate::fault::OrProblem;
use crate::http::Request;
use crate::query::{invalid, Query};

/// The caller's key, checked against the records of this moment.
pub fn authenticate(backend: &dyn Backend, request: &Request<'_>) -> Result<Principal, Problem> {
    let presented = presented(request).ok_or_else(|| {
        Problem::new(Kind::Unauthorized, "the request has no API key")
            .mend("Send it as `Authorization: Bearer er_…` or `X-API-Key: er_…`.")
    })?;
    let lookup = Lookup::parse(presented).map_err(unauthorized)?;
    let key = backend.kv_get(KEYS_BUCKET, &lookup.key_path()).or_problem()?;
    let tenant = match key.is_some() && lookup.needs_tenant() {
        true => backend.kv_get(TENANTS_BUCKET, &lookup.tenant).or_problem()?,
        false => None,
    };
    check(&lookup, value(&key), value(&tenant), backend.now_us()).map_err(unauthorized)
}

fn value(item: &Option<Item>) -> Option<&str> {
    item.as_ref().map(|item| item.value.as_str())
}

fn unauthorized(denied: Denied) -> Problem {
    Problem::new(Kind::Unauthorized, denied.to_string())
        .mend("Use a key that is neither revoked nor expired, of a tenant that is not suspended.")
}

/// Who calls, as far as the key tells that is no good: never the key itself. What can't be one of our keys is not repeated.
pub fn presented_by(request: &Request<'_>) -> String {
    match presented(request).map(Lookup::parse) {
        None => "without a key".into(),
        Some(Err(_)) => "with what is no key".into(),
        Some(Ok(lookup)) => format!("by key {} of {}", er_tenant::key_id(&lookup.hash), lookup.tenant),
    }
}

fn presented<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| request.header("x-api-key").map(str::trim))
}

/// What a principal may do, and where.
pub trait Permission {
    fn need(&self, action: Action) -> Result<(), Problem>;
    /// The tenant whose events are asked for: the principal's own, or for an operator the one named by `?tenant=`.
    fn tenant(&self, query: &Query) -> Result<String, Problem>;
    /// Whether the principal may act in a tenant named by the path.
    fn inside(&self, tenant: &str) -> Result<(), Problem>;
}

impl Permission for Principal {
    fn need(&self, action: Action) -> Result<(), Problem> {
        if self.may(action) {
            return Ok(());
        }
        Err(Problem::new(Kind::Forbidden, format!("a key with the role {} may not do this", self.role.as_str())))
    }

    fn tenant(&self, query: &Query) -> Result<String, Problem> {
        match query.get("tenant") {
            Some(named) => self.inside(named).map(|()| named.to_owned()),
            None if self.may(Action::Tenants) => Err(invalid("tenant", "is missing")
                .mend("Operators have no events of their own: name a tenant with ?tenant= .")),
            None => Ok(self.tenant.clone()),
        }
    }

    fn inside(&self, tenant: &str) -> Result<(), Problem> {
        if !self.may(Action::Tenants) && tenant != self.tenant {
            // The same whether that tenant exists or not.
            return Err(Problem::new(Kind::Forbidden, format!("this key belongs to the tenant {}", self.tenant)));
        }
        if !valid_tenant(tenant) {
            return Err(Problem::new(Kind::NotFound, format!("{tenant} can't be the name of a tenant")));
        }
        Ok(())
    }
}

/// Whether there may be a record of this tenant to look for.
pub fn has_record(tenant: &str) -> bool {
    tenant != OPERATOR
}

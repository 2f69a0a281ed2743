//! Who calls, and in which tenant's name.

use er_event::keys::{self, valid_tenant, Action};
use er_event::{Kind, Problem};
use er_tenant::auth::{self, Refusal, Way};
use er_tenant::token::is_token;
use er_tenant::{Lookup, Principal, OPERATOR};

use crate::backend::{Backend, Fault};
use crate::fault;
use crate::http::Request;
use crate::query::{invalid, Query};

/// The caller's key or token, checked against the records of this moment.
pub fn authenticate(backend: &dyn Backend, request: &Request<'_>, way: Way) -> Result<Principal, Problem> {
    let presented = presented(request).ok_or_else(|| {
        Problem::new(Kind::Unauthorized, "the request has no API key")
            .mend("Send it as `Authorization: Bearer er_…` or `X-API-Key: er_…`.")
    })?;
    let get = |bucket: &str, key: &str| backend.kv_get(bucket, key).map(|item| item.map(|item| item.value));
    auth::authenticate(presented, way, backend.now_us(), get).map_err(refused)
}

fn refused(refusal: Refusal<Fault>) -> Problem {
    let mend = match &refusal {
        Refusal::Fault(fault) => return fault::problem(fault.clone()),
        Refusal::Away(_) => {
            return Problem::new(Kind::Unavailable, refusal.to_string()).retry_after_ms(fault::RETRY_AFTER_MS);
        }
        Refusal::Key(_) => "Use a key that is neither revoked nor expired, of a tenant that is not suspended.",
        Refusal::Around => "Send the same request to the gateway.",
        Refusal::Token(_) | Refusal::NoGateway | Refusal::NoMember => {
            "Tokens are the gateway's to make: send yours to it. Whoever runs the tenant says who is a member."
        }
    };
    Problem::new(Kind::Unauthorized, refusal.to_string()).mend(mend)
}

/// Who calls, as far as the key tells that is no good: never the key itself. What can't be one of our keys is not repeated.
pub fn presented_by(request: &Request<'_>) -> String {
    match presented(request).map(Lookup::parse) {
        None => "without a key".into(),
        Some(Err(_)) if presented(request).is_some_and(is_token) => "with a token".into(),
        Some(Err(_)) => "with what is no key".into(),
        Some(Ok(lookup)) => format!("by key {} of {}", er_tenant::key_id(&lookup.hash), lookup.tenant),
    }
}

pub fn presented<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    keys::presented(request.header("authorization"), request.header("x-api-key"))
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
        Err(Problem::new(Kind::Forbidden, format!("the role {} may not do this", self.role.as_str())))
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
            return Err(Problem::new(Kind::Forbidden, format!("you belong to the tenant {}", self.tenant)));
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

//! From records to relation tuples, and from those that are there to those that shall be. Pure.

use std::collections::BTreeSet;

use er_tenant::members::{key_subject, MemberRecord, MemberRole};
use er_tenant::{KeyRecord, TenantRecord, OPERATOR};
use serde::{Deserialize, Serialize};

/// Keto's namespaces, as `deploy/keto/namespaces.ts` has them. All tuples in them are ours.
pub const NAMESPACES: [&str; 2] = [TENANT, PLATFORM];

const TENANT: &str = "Tenant";
const PLATFORM: &str = "Platform";
/// The only object of its namespace.
const THE_PLATFORM: &str = "eventrunner";

/// A relation tuple, as Keto's API has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    pub namespace: String,
    pub object: String,
    pub relation: String,
    #[serde(flatten)]
    pub subject: Subject,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    #[serde(rename = "subject_id")]
    Id(String),
    #[serde(rename = "subject_set")]
    Set { namespace: String, object: String, relation: String },
}

/// What Keto is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", content = "relation_tuple", rename_all = "lowercase")]
pub enum Change {
    Insert(Tuple),
    Delete(Tuple),
}

/// All that tuples are made from; members and keys with their tenant.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub tenants: Vec<TenantRecord>,
    pub members: Vec<(String, MemberRecord)>,
    pub keys: Vec<(String, KeyRecord)>,
}

/// The tuples that shall be. A tenant that is suspended has none, nor has a key that is expired.
#[must_use]
pub fn wanted(records: &Records, now_us: i64) -> BTreeSet<Tuple> {
    let open: BTreeSet<&str> =
        records.tenants.iter().filter(|tenant| !tenant.suspended).map(|tenant| tenant.id.as_str()).collect();
    // The operators' own tenant has no record, and no members but superusers.
    let of_platform = open.iter().copied().chain([OPERATOR]).map(|tenant| Tuple {
        namespace: TENANT.into(),
        object: tenant.into(),
        relation: "platform".into(),
        subject: Subject::Set { namespace: PLATFORM.into(), object: THE_PLATFORM.into(), relation: String::new() },
    });
    let members = records.members.iter().map(|(tenant, member)| (tenant, member.role, member.user.clone()));
    let keys = records
        .keys
        .iter()
        .filter(|(_, key)| !key.expired(now_us))
        .map(|(tenant, key)| (tenant, MemberRole::of(key.role), key_subject(tenant, &key.id)));
    let people = members.chain(keys).filter_map(|(tenant, role, subject)| {
        let (namespace, object) = match tenant.as_str() {
            OPERATOR => (PLATFORM, THE_PLATFORM),
            tenant => (TENANT, *open.get(tenant)?),
        };
        let relation = relation(role);
        // A superuser of a tenant, or another member of the operators', is nobody.
        ((role == MemberRole::Superuser) == (namespace == PLATFORM)).then(|| Tuple {
            namespace: namespace.into(),
            object: object.into(),
            relation: relation.into(),
            subject: Subject::Id(subject),
        })
    });
    of_platform.chain(people).collect()
}

/// The relation that holds those who have a role.
fn relation(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Superuser => "superusers",
        MemberRole::TenantAdmin => "tenant_admins",
        MemberRole::Admin => "admins",
        MemberRole::EventPublisher => "event_publishers",
        MemberRole::Viewer => "viewers",
    }
}

/// What makes of the tuples that are there those that are wanted: first what is taken away.
#[must_use]
pub fn changes(there: &BTreeSet<Tuple>, wanted: &BTreeSet<Tuple>) -> Vec<Change> {
    let gone = there.difference(wanted).cloned().map(Change::Delete);
    gone.chain(wanted.difference(there).cloned().map(Change::Insert)).collect()
}

#[cfg(test)]
mod tests {
    use er_event::event::time_us;

    use super::*;

    fn records() -> Records {
        let tenant = |text: &str| serde_json::from_str(text).unwrap();
        let member = |tenant: &str, user: &str, role: &str| {
            let record = format!(r#"{{"user":"{user}","role":"{role}"}}"#);
            (tenant.to_owned(), serde_json::from_str(&record).unwrap())
        };
        let key = |tenant: &str, text: &str| (tenant.to_owned(), serde_json::from_str(text).unwrap());
        Records {
            tenants: vec![tenant(r#"{"id":"acme"}"#), tenant(r#"{"id":"shut","suspended":true}"#)],
            members: vec![
                member("acme", "alice", "tenant_admin"),
                member("acme", "bob", "viewer"),
                member("shut", "carol", "admin"),
                member("gone", "dave", "admin"),
                member("operator", "olga", "superuser"),
                member("acme", "eve", "superuser"),
                member("operator", "eve", "admin"),
            ],
            keys: vec![
                key("acme", r#"{"id":"0123456789ab","role":"publisher"}"#),
                key("acme", r#"{"id":"ba9876543210","role":"admin","expires":"2026-01-01T00:00:00Z"}"#),
                key("operator", r#"{"id":"ffffffffffff","role":"operator"}"#),
            ],
        }
    }

    /// In the notation of Keto's documentation.
    fn said(tuples: &BTreeSet<Tuple>) -> Vec<String> {
        let said = |tuple: &Tuple| {
            let Tuple { namespace, object, relation, subject } = tuple;
            let subject = match subject {
                Subject::Id(id) => id.clone(),
                Subject::Set { namespace, object, .. } => format!("({namespace}:{object})"),
            };
            format!("{namespace}:{object}#{relation}@{subject}")
        };
        tuples.iter().map(said).collect()
    }

    fn wanted_at(records: &Records, time: &str) -> BTreeSet<Tuple> {
        wanted(records, time_us(time).unwrap())
    }

    #[test]
    fn everybody_of_an_open_tenant_has_the_relation_of_their_role() {
        let expected = [
            "Platform:eventrunner#superusers@key:operator:ffffffffffff",
            "Platform:eventrunner#superusers@olga",
            "Tenant:acme#admins@key:acme:ba9876543210",
            "Tenant:acme#event_publishers@key:acme:0123456789ab",
            "Tenant:acme#platform@(Platform:eventrunner)",
            "Tenant:acme#tenant_admins@alice",
            "Tenant:acme#viewers@bob",
            "Tenant:operator#platform@(Platform:eventrunner)",
        ];
        assert_eq!(said(&wanted_at(&records(), "2025-12-31T23:59:59Z")), expected);
    }

    #[test]
    fn what_is_suspended_or_expired_has_none() {
        let before = wanted_at(&records(), "2025-12-31T23:59:59Z");
        let after = wanted_at(&records(), "2026-01-01T00:00:00Z");
        let expired: BTreeSet<Tuple> = before.difference(&after).cloned().collect();
        assert_eq!(said(&expired), ["Tenant:acme#admins@key:acme:ba9876543210"]);
        let mut suspended = records();
        suspended.tenants[0].suspended = true;
        let left = said(&wanted_at(&suspended, "2026-01-01T00:00:00Z"));
        assert!(!left.is_empty() && left.iter().all(|tuple| !tuple.contains("acme")), "{left:?}");
    }

    #[test]
    fn changes_make_the_one_of_the_other_and_take_away_first() {
        let tuple = |user: &str| Tuple {
            namespace: "Tenant".into(),
            object: "acme".into(),
            relation: "viewers".into(),
            subject: Subject::Id(user.into()),
        };
        let (there, wanted) = (BTreeSet::from([tuple("a"), tuple("b")]), BTreeSet::from([tuple("b"), tuple("c")]));
        assert_eq!(changes(&there, &wanted), [Change::Delete(tuple("a")), Change::Insert(tuple("c"))]);
        assert!(changes(&wanted, &wanted).is_empty());
    }

    #[test]
    fn tuples_are_written_as_keto_reads_them() {
        let all = wanted_at(&records(), "2026-01-01T00:00:00Z");
        let text = serde_json::to_string(&Change::Insert(all.iter().nth(3).unwrap().clone())).unwrap();
        let set = r#"{"namespace":"Platform","object":"eventrunner","relation":""}"#;
        assert_eq!(
            text,
            format!(
                r#"{{"action":"insert","relation_tuple":{{"namespace":"Tenant","object":"acme","relation":"platform","subject_set":{set}}}}}"#
            )
        );
        let read: BTreeSet<Tuple> = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
        assert_eq!(read, all);
    }
}

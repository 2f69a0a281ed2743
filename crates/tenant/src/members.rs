//! Members: whoever an identity provider knows, and what they are in a tenant.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use er_event::event::rfc3339_us;
use er_event::keys::Role;
use serde::{Deserialize, Serialize};

use crate::{Invalid, OPERATOR};

/// Bucket of member records, under `<tenant>.<user in base64url>`.
pub const MEMBERS_BUCKET: &str = "ER_MEMBERS";
/// Members one tenant may have.
pub const MEMBERS_MAX: usize = 1_000;
/// Of a user's id: the `sub` of the identity provider's tokens.
pub const USER_CHARS_MAX: usize = 128;

/// What the subject of a request made with an API key begins with; no user's id does.
const KEY_SUBJECT: &str = "key:";

/// What a member is. The words are those of Keto's relations (`deploy/keto/namespaces.ts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Runs the platform. Of the operators' tenant, and of no other.
    Superuser,
    /// Runs the tenant, and says who else does.
    TenantAdmin,
    /// Runs the tenant.
    Admin,
    /// Sends events.
    EventPublisher,
    /// Looks.
    Viewer,
}

/// A member, as it rests in [`MEMBERS_BUCKET`] and as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberRecord {
    /// As the identity provider names them in `sub`.
    pub user: String,
    pub role: MemberRole,
    /// Since when they are what they are, RFC 3339.
    #[serde(default)]
    pub since: String,
    /// Who said so.
    #[serde(default)]
    pub by: String,
}

/// The body that makes somebody a member, or another kind of member.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    pub role: MemberRole,
}

// === impl MemberRole ===

impl MemberRole {
    pub const ALL: [Self; 5] = [Self::Superuser, Self::TenantAdmin, Self::Admin, Self::EventPublisher, Self::Viewer];

    /// What this one may do on the platform.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Superuser => Role::Operator,
            Self::TenantAdmin => Role::TenantAdmin,
            Self::Admin => Role::Admin,
            Self::EventPublisher => Role::Publisher,
            Self::Viewer => Role::Viewer,
        }
    }

    /// The member's role that may do the same.
    #[must_use]
    pub fn of(role: Role) -> Self {
        match role {
            Role::Operator => Self::Superuser,
            Role::TenantAdmin => Self::TenantAdmin,
            Role::Admin => Self::Admin,
            Role::Publisher => Self::EventPublisher,
            Role::Viewer => Self::Viewer,
        }
    }
}

// === impl NewMember ===

impl NewMember {
    pub fn into_record(self, tenant: &str, user: &str, by: String, now_us: i64) -> Result<MemberRecord, Invalid> {
        if (self.role == MemberRole::Superuser) != (tenant == OPERATOR) {
            return Err(Invalid(format!("role: members of {OPERATOR}, and no others, are superusers")));
        }
        if !valid_user(user) {
            return Err(Invalid(format!(
                "user: 1 to {USER_CHARS_MAX} visible ASCII characters, which do not begin with {KEY_SUBJECT}"
            )));
        }
        Ok(MemberRecord { user: user.to_owned(), role: self.role, since: rfc3339_us(now_us), by })
    }
}

/// Whether a user may be called so. OpenID Connect's `sub` is ASCII, too.
#[must_use]
pub fn valid_user(user: &str) -> bool {
    (1..=USER_CHARS_MAX).contains(&user.len())
        && user.bytes().all(|byte| byte.is_ascii_graphic())
        && !user.starts_with(KEY_SUBJECT)
}

/// Where a member's record rests.
#[must_use]
pub fn member_path(tenant: &str, user: &str) -> String {
    format!("{tenant}.{}", URL_SAFE_NO_PAD.encode(user))
}

/// Every member of a tenant, as a filter over [`MEMBERS_BUCKET`].
#[must_use]
pub fn members_of(tenant: &str) -> String {
    format!("{tenant}.*")
}

/// What Keto and the gateway call the holder of an API key.
#[must_use]
pub fn key_subject(tenant: &str, key_id: &str) -> String {
    format!("{KEY_SUBJECT}{tenant}:{key_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_is_one_of_the_platform_and_back() {
        for role in MemberRole::ALL {
            assert_eq!(MemberRole::of(role.role()), role);
        }
        assert_eq!(MemberRole::ALL.map(MemberRole::role), Role::ALL);
        let words = MemberRole::ALL.map(|role| serde_json::to_string(&role).unwrap().replace('"', ""));
        assert_eq!(words, ["superuser", "tenant_admin", "admin", "event_publisher", "viewer"]);
    }

    #[test]
    fn superusers_are_the_operators_and_nobody_else_is() {
        let made = |role, tenant| NewMember { role }.into_record(tenant, "alice", "operator/0".into(), 0);
        assert!(made(MemberRole::Superuser, OPERATOR).is_ok() && made(MemberRole::Viewer, "acme").is_ok());
        assert!(made(MemberRole::Superuser, "acme").is_err() && made(MemberRole::Viewer, OPERATOR).is_err());
    }

    #[test]
    fn a_user_is_whatever_an_identity_provider_says_but_no_key() {
        for (user, good) in [
            ("alice@acme.example", true),
            ("auth0|5f7c8ec7c33c6c004bbafe82", true),
            (r#"a","subject_id":"b"#, true),
            ("", false),
            ("a b", false),
            ("é", false),
            ("key:acme:0123456789ab", false),
            (&"x".repeat(USER_CHARS_MAX), true),
            (&"x".repeat(USER_CHARS_MAX + 1), false),
        ] {
            assert_eq!(valid_user(user), good, "{user}");
        }
        assert!(!valid_user(&key_subject("acme", "0123456789ab")));
    }

    #[test]
    fn a_path_holds_any_user() {
        let path = member_path("acme", "auth0|a/b.c*>");
        assert_eq!(path, "acme.YXV0aDB8YS9iLmMqPg");
        assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let record = NewMember { role: MemberRole::Admin }.into_record("acme", "alice", "acme/0".into(), 0).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"user":"alice","role":"admin","since":"1970-01-01T00:00:00Z","by":"acme/0"}"#);
        assert_eq!(serde_json::from_str::<MemberRecord>(&text).unwrap(), record);
        assert!(serde_json::from_str::<NewMember>(r#"{"role":"admin","user":"bob"}"#).is_err());
    }
}

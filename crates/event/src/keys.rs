//! API keys and what their holders may do.
//!
//! A key is `er_<tenant>_<secret>`: the secret is 32 random bytes in unpadded base64url, 43 characters. It names its
//! tenant so that a wrong key costs one look-up; the name is no proof, the hash of the whole key is.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const PREFIX: &str = "er_";
const SECRET_CHARS: usize = 43;
const TENANT_CHARS_MAX: usize = 40;

/// The key of `tenant` for 32 bytes that the caller drew at random.
pub fn format(tenant: &str, secret: &[u8; 32]) -> String {
    format!("{PREFIX}{tenant}_{}", URL_SAFE_NO_PAD.encode(secret))
}

/// The tenant and the secret's 43 characters; none for a text that [`format()`] can't have made.
pub fn parse(key: &str) -> Option<(&str, &str)> {
    let (tenant, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    if !valid_tenant(tenant) || secret.len() != SECRET_CHARS {
        return None;
    }
    let mut bytes = [0; 33];
    match URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes) {
        Ok(32) => Some((tenant, secret)),
        _ => None,
    }
}

/// What a caller shows: `Authorization: Bearer <key>`, else `X-API-Key: <key>`.
#[must_use]
pub fn presented<'a>(authorization: Option<&'a str>, api_key: Option<&'a str>) -> Option<&'a str> {
    let bearer = authorization.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key)
    });
    bearer.or(api_key).map(str::trim)
}

/// What is stored in place of the key: SHA-256 of the whole key in 64 lower-case hexadecimal digits.
/// The secret has 256 random bits, so there is nothing to guess and no need for a slow hash.
pub fn hash(key: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(key.as_bytes()) {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

/// `[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?`: safe in a NATS subject, a host name and a path.
pub fn valid_tenant(name: &str) -> bool {
    let bytes = name.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.len() <= TENANT_CHARS_MAX
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
}

/// What a key's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the platform: everything, in every tenant.
    Operator,
    /// Runs one tenant, and says who else does. A member's role: no key has it.
    #[serde(rename = "tenant_admin")]
    TenantAdmin,
    /// Runs one tenant.
    Admin,
    /// Sends events.
    Publisher,
    /// Looks.
    Viewer,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send events.
    Publish,
    /// Read events, stories, dead letters, rules, consumers, usage, invoices.
    Read,
    /// Change rules and consumers, redrive, replay.
    Write,
    /// Make and revoke the tenant's keys.
    Keys,
    /// Say who is a member of the tenant, and as what.
    Members,
    /// Make and remove tenants, and act in any of them.
    Tenants,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Operator, Role::TenantAdmin, Role::Admin, Role::Publisher, Role::Viewer];

    pub fn allows(self, action: Action) -> bool {
        match self {
            Role::Operator => true,
            Role::TenantAdmin => action != Action::Tenants,
            Role::Admin => !matches!(action, Action::Tenants | Action::Members),
            Role::Publisher => action == Action::Publish,
            Role::Viewer => action == Action::Read,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::TenantAdmin => "tenant_admin",
            Role::Admin => "admin",
            Role::Publisher => "publisher",
            Role::Viewer => "viewer",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_whatever_its_secret() {
        for byte in [0_u8, 0x7f, 0xfb, 0xff] {
            let key = format("acme-1", &[byte; 32]);
            assert_eq!(key.len(), 3 + 6 + 1 + 43);
            let (tenant, secret) = parse(&key).unwrap();
            assert_eq!((tenant, &key[10..]), ("acme-1", secret));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let secret = "A".repeat(43);
        for text in ["", "er_", "er_acme", "er_acme_", "er__", "xx_acme_", "er_Acme_", "er_-a_", "er_a-_"] {
            assert_eq!(parse(text), None, "{text}");
            if text != "er_acme_" {
                assert_eq!(parse(&format!("{text}{secret}")), None, "{text}…");
            }
        }
        assert_eq!(parse(&format!("er_acme_{}!", &secret[1..])), None);
        // 43 characters hold 258 bits; the two left over must be zero, or one secret had many spellings.
        assert_eq!(parse(&format!("er_acme_{}B", &secret[1..])), None);
    }

    #[test]
    fn tenant_names_keep_to_the_pattern() {
        for good in ["a", "7", "acme", "a-b", "a--b", &"x".repeat(40)] {
            assert!(valid_tenant(good), "{good}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a_b", "a.b", "ä", &"x".repeat(41)] {
            assert!(!valid_tenant(bad), "{bad}");
        }
    }

    #[test]
    fn the_hash_is_sha_256_in_hexadecimal() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn roles_do_what_they_say_and_no_more() {
        use Action::{Keys, Members, Publish, Read, Tenants, Write};
        let all = [Publish, Read, Write, Keys, Members, Tenants];
        let of = |role: Role| all.into_iter().filter(|action| role.allows(*action)).collect::<Vec<_>>();
        assert_eq!(of(Role::Operator), all);
        assert_eq!(of(Role::TenantAdmin), [Publish, Read, Write, Keys, Members]);
        assert_eq!(of(Role::Admin), [Publish, Read, Write, Keys]);
        assert_eq!(of(Role::Publisher), [Publish]);
        assert_eq!(of(Role::Viewer), [Read]);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert_eq!(Role::parse("root"), None);
    }
}

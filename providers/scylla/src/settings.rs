//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::net::SocketAddr;

use er_provider_kit::settings::Error;
use er_provider_kit::Settings;
use er_provider_scylla::store::{replicated, Consistency, Credentials, Options, KEEP_H_MAX};

const OWNER: &str = "provider scylla";
const METRICS_PORT: u16 = 9467;
/// Cassandra's limit.
const KEYSPACE_CHARS_MAX: usize = 48;
/// What a read may be asked with as well as a write. `each_quorum` is for writes only, `any` promises nothing.
const CONSISTENCIES: [(&str, Consistency); 7] = [
    ("local_quorum", Consistency::LocalQuorum),
    ("quorum", Consistency::Quorum),
    ("local_one", Consistency::LocalOne),
    ("one", Consistency::One),
    ("two", Consistency::Two),
    ("three", Consistency::Three),
    ("all", Consistency::All),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    pub metrics_addr: SocketAddr,
    pub store: Options,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(OWNER, map);
        let own = Options::default();
        s.required("nodes")?;
        let metrics_addr = s.addr("metrics_addr", METRICS_PORT)?;
        let statement_ms = own.statement_timeout.as_millis() as u64;
        let store = Options {
            nodes: nodes(s.list("nodes"))?,
            keyspace: keyspace(s.text("keyspace"), own.keyspace)?,
            replication: replication(s.number("replication_factor", 1, 1..=9)?, s.text("replication"))?,
            consistency: consistency(s.text("consistency"), own.consistency)?,
            datacenter: s.text("datacenter").map(str::to_string),
            credentials: credentials(s.text("username"), s.text("password"))?,
            retention_h: s.number("retention_h", own.retention_h, 1..=KEEP_H_MAX)?,
            statements: s.number("statements_max", own.statements, 16..=8192)?,
            statement_timeout: s.millis("statement_timeout_ms", statement_ms, 100..=5_000)?,
        };
        s.finish()?;
        Ok(Self { metrics_addr, store })
    }
}

fn nodes(nodes: Vec<String>) -> Result<Vec<String>, Error> {
    for node in &nodes {
        let port = node.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(invalid("nodes", node, "write each as host:port, such as 10.0.0.1:9042".into()));
        }
    }
    Ok(nodes)
}

/// The name goes into statements as it is.
fn keyspace(name: Option<&str>, own: String) -> Result<String, Error> {
    let Some(name) = name else { return Ok(own) };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() <= KEYSPACE_CHARS_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
    {
        return Ok(name.into());
    }
    let reason = format!("use a-z, 0-9 and _, a letter first, at most {KEYSPACE_CHARS_MAX} characters");
    Err(invalid("keyspace", name, reason))
}

/// As is the map, which says more than a factor can.
fn replication(factor: u8, map: Option<&str>) -> Result<String, Error> {
    let Some(map) = map else { return Ok(replicated(factor)) };
    if map.starts_with('{') && map.ends_with('}') && map.contains("'class'") && !map.contains(';') {
        return Ok(map.into());
    }
    let reason = "write a CQL map, such as {'class': 'NetworkTopologyStrategy', 'dc1': 3}".into();
    Err(invalid("replication", map, reason))
}

fn consistency(name: Option<&str>, own: Consistency) -> Result<Consistency, Error> {
    let Some(name) = name else { return Ok(own) };
    let found = CONSISTENCIES.iter().find(|(known, _)| *known == name.to_ascii_lowercase());
    let known = || CONSISTENCIES.map(|(known, _)| known).join(", ");
    found.map(|(_, level)| *level).ok_or_else(|| invalid("consistency", name, format!("use one of {}", known())))
}

fn credentials(username: Option<&str>, password: Option<&str>) -> Result<Option<Credentials>, Error> {
    match (username, password) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => {
            Ok(Some(Credentials { username: username.into(), password: password.into() }))
        }
        (Some(_), None) => Err(Error::Missing { owner: OWNER.into(), key: "password".into() }),
        (None, Some(_)) => Err(Error::Missing { owner: OWNER.into(), key: "username".into() }),
    }
}

fn invalid(key: &str, value: &str, reason: String) -> Error {
    Error::Invalid { owner: OWNER.into(), key: key.into(), value: value.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ProviderSettings, String> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        ProviderSettings::parse(&map).map_err(|e| e.to_string())
    }

    #[test]
    fn only_the_nodes_are_required() {
        let settings = parse(&[("nodes", "a:9042, b:9042")]).unwrap();
        assert_eq!(settings.metrics_addr.to_string(), "127.0.0.1:9467");
        let nodes = vec!["a:9042".to_string(), "b:9042".to_string()];
        assert_eq!(settings.store, Options { nodes, ..Options::default() });
        assert!(parse(&[]).unwrap_err().contains("`nodes` is missing"));
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (key, value, good) in [
            ("nodes", "a", false),
            ("nodes", "a:0", false),
            ("nodes", ":9042", false),
            ("nodes", "[::1]:9042", true),
            ("keyspace", "er_1", true),
            ("keyspace", "1er", false),
            ("keyspace", "Er", false),
            ("keyspace", "er; DROP KEYSPACE er", false),
            ("keyspace", &"k".repeat(48), true),
            ("keyspace", &"k".repeat(49), false),
            ("replication_factor", "3", true),
            ("replication_factor", "0", false),
            ("replication_factor", "10", false),
            ("replication", "{'class': 'NetworkTopologyStrategy', 'dc1': 3}", true),
            ("replication", "3", false),
            ("replication", "{'class': 'x'}; DROP KEYSPACE er; {}", false),
            ("consistency", "LOCAL_QUORUM", true),
            ("consistency", "local_one", true),
            ("consistency", "any", false),
            ("consistency", "most", false),
            ("retention_h", "1", true),
            ("retention_h", "0", false),
            ("retention_h", "87600", true),
            ("retention_h", "87601", false),
            ("statements_max", "16", true),
            ("statements_max", "15", false),
            ("statements_max", "8193", false),
            ("statement_timeout_ms", "5000", true),
            ("statement_timeout_ms", "5001", false),
            ("username", "er", false),
            ("password", "secret", false),
            ("node", "a:9042", false),
        ] {
            let mut pairs = vec![("nodes", "a:9042")];
            pairs.retain(|(own, _)| *own != key);
            pairs.push((key, value));
            assert_eq!(parse(&pairs).is_ok(), good, "{key}={value}");
        }
    }

    #[test]
    fn the_password_is_not_logged() {
        let settings = parse(&[("nodes", "a:9042"), ("username", "er"), ("password", "hunter2")]).unwrap();
        assert_eq!(settings.store.credentials.as_ref().unwrap().password, "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_consistency_that_is_none_is_answered_with_those_that_are() {
        let error = parse(&[("nodes", "a:9042"), ("consistency", "each_quorum")]).unwrap_err();
        assert!(error.ends_with("use one of local_quorum, quorum, local_one, one, two, three, all"), "{error}");
    }
}

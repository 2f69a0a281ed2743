//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use er_analytics::Options;
use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

const OWNER: &str = "provider clickhouse";
const METRICS_PORT: u16 = 9468;
const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct ProviderSettings {
    pub server: Server,
    pub metrics_addr: SocketAddr,
    pub options: Options,
}

/// Where the server is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// `http://host:8123`, or `https://`.
    pub url: String,
    /// Made if it is not there.
    pub database: String,
    pub user: Option<String>,
    pub password: Option<String>,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(OWNER, map);
        let invalid = |key: &str, value: &str, reason: &str| Error::Invalid {
            owner: OWNER.into(),
            key: key.into(),
            value: value.into(),
            reason: reason.into(),
        };
        let url = s.required("url")?;
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) || url.contains(['?', '@', '#']) {
            let reason = "not an address such as http://127.0.0.1:8123; user and password have settings of their own";
            return Err(invalid("url", url, reason));
        }
        let database = s.text("database").unwrap_or("eventrunner");
        if !is_name(database) {
            let reason = "a database is called by 1 to 64 letters, digits and underscores, no digit first";
            return Err(invalid("database", database, reason));
        }
        let server = Server {
            url: url.to_owned(),
            database: database.to_owned(),
            user: s.text("user").map(str::to_owned),
            password: s.text("password").map(str::to_owned),
        };
        let default = Options::default();
        let options = Options {
            linger: s.millis("linger_ms", 1_000, 0..=1_000)?,
            // Less than one call can bring would refuse that call forever.
            buffer_rows_max: s.number("buffer_rows_max", default.buffer_rows_max, 10_000..=10_000_000)?,
            buffer_bytes_max: s.number("buffer_bytes_max", default.buffer_bytes_max, 1 << 20..=1 << 30)?,
            try_timeout: s.millis("try_timeout_ms", 4_000, 100..=60_000)?,
            tries_max: s.number("tries_max", default.tries_max, 1..=20)?,
            insert_timeout: s.millis("insert_timeout_ms", 15_000, 1_000..=120_000)?,
            query_timeout: s.millis("query_timeout_ms", 8_000, 100..=120_000)?,
            ..default
        };
        let metrics_addr = s.addr("metrics_addr", METRICS_PORT)?;
        s.finish()?;
        Ok(Self { server, metrics_addr, options })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password: settings are logged.
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= NAME_CHARS_MAX
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = ("url", "http://127.0.0.1:8123");

    fn parse(pairs: &[(&str, &str)]) -> Result<ProviderSettings, String> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        ProviderSettings::parse(&map).map_err(|e| e.to_string())
    }

    #[test]
    fn only_the_url_is_required() {
        let settings = parse(&[URL]).unwrap();
        assert_eq!((settings.server.database.as_str(), settings.server.user), ("eventrunner", None));
        assert_eq!(settings.metrics_addr.to_string(), "127.0.0.1:9468");
        assert!(parse(&[]).unwrap_err().contains("`url` is missing"));
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (key, value, good) in [
            ("url", "http://a:8123?database=x", false),
            ("url", "http://a:b@c:8123", false),
            ("url", "tcp://a:9000", false),
            ("url", "https://a", true),
            ("database", "usage_2", true),
            ("database", "2usage", false),
            ("database", "a`b", false),
            ("database", "a-b", false),
            ("linger_ms", "1000", true),
            ("linger_ms", "1001", false),
            ("buffer_rows_max", "10000", true),
            ("buffer_rows_max", "9999", false),
            ("buffer_bytes_max", "1048575", false),
            ("try_timeout_ms", "99", false),
            ("tries_max", "0", false),
            ("tries", "1", false),
        ] {
            let pairs = if key == "url" { vec![(key, value)] } else { vec![URL, (key, value)] };
            assert_eq!(parse(&pairs).is_ok(), good, "{key}={value}");
        }
    }

    #[test]
    fn a_password_is_not_logged() {
        let settings = parse(&[URL, ("user", "er"), ("password", "s3cret")]).unwrap();
        assert_eq!(settings.server.password.as_deref(), Some("s3cret"));
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}

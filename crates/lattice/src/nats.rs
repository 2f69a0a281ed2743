//! The NATS server: its configuration file, and whether its port is free.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

use crate::plan::Plan;

/// Room for a full batch with its headers, and for whatever a tenant deploys as one manifest.
const PAYLOAD_MAX_BYTES: u32 = 2 * 1024 * 1024;

pub fn write_conf(plan: &Plan) -> anyhow::Result<()> {
    let path = plan.nats_conf();
    std::fs::write(&path, render_conf(plan)).with_context(|| format!("can't write {}", path.display()))
}

fn render_conf(plan: &Plan) -> String {
    let mut conf = String::new();
    let store = plan.dir.join("jetstream");
    let pid = plan.dir.join("nats.pid");
    let port = plan.args.nats_port;
    // Writing to a String can't fail.
    let _ = write!(
        conf,
        "# Written by er-lattice at every start.\n\
         server_name: eventrunner\n\
         listen: \"127.0.0.1:{port}\"\n\
         pid_file: {pid}\n\
         max_payload: {PAYLOAD_MAX_BYTES}\n\
         jetstream {{\n\
         \x20 store_dir: {store}\n\
         \x20 # An acknowledged message is on the disk, not in the page cache for two minutes.\n\
         \x20 sync_interval: always\n",
        pid = quoted(&pid.to_string_lossy()),
        store = quoted(&store.to_string_lossy()),
    );
    if let Some(bytes) = plan.args.store_max_bytes {
        let _ = writeln!(conf, "  max_file_store: {bytes}");
    }
    conf.push_str("}\n");
    if let Some(port) = plan.args.nats_monitor_port {
        let _ = writeln!(conf, "http: \"127.0.0.1:{port}\"");
    }
    conf
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Says so at once when somebody else has the port; the server itself would only say it in its log.
pub fn ensure_port_free(port: u16) -> anyhow::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).with_context(|| {
        format!(
            "port {port} is taken by another program; stop it (`ss -ltnp 'sport = :{port}'` \
                 names it) or pass --nats-port"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::UpArgs;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Wrapper {
        #[command(flatten)]
        args: UpArgs,
    }

    fn plan(arguments: &[&str]) -> Plan {
        let arguments = [&["up"], arguments].concat();
        Plan {
            dir: "/var/lattice \"one\"".into(),
            executable: "/bin/er-lattice".into(),
            gate: None,
            args: Wrapper::parse_from(arguments).args,
        }
    }

    #[test]
    fn every_write_is_synced() {
        assert!(render_conf(&plan(&[])).contains("  sync_interval: always\n"));
    }

    #[test]
    fn paths_are_quoted() {
        let conf = render_conf(&plan(&[]));
        assert!(conf.contains(r#"store_dir: "/var/lattice \"one\"/jetstream""#), "{conf}");
    }

    #[test]
    fn optional_settings_appear_only_when_asked_for() {
        let plain = render_conf(&plan(&[]));
        assert!(!plain.contains("http:") && !plain.contains("max_file_store"));
        let full = render_conf(&plan(&["--nats-monitor-port=8222", "--store-max-bytes=1000"]));
        assert!(full.contains("http: \"127.0.0.1:8222\"\n"), "{full}");
        assert!(full.contains("  max_file_store: 1000\n"), "{full}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ensure_port_free(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} is taken")), "{error}");
        drop(taken);
        ensure_port_free(port).unwrap();
    }
}

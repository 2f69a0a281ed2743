//! The end of the demo: what the tenant used so far this month, and the draft of its invoice, to be checked by hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use er_deploy::client::Client;
use er_metering::{Invoice, Line, Meter, Money, Report};

const POLL: Duration = Duration::from_millis(200);

/// Meter to count, this month so far.
#[derive(Debug, Default)]
pub struct Used(BTreeMap<Meter, u64>);

// === impl Used ===

impl Used {
    pub async fn read(client: &Client, tenant: &str) -> anyhow::Result<Self> {
        let report = client.read(&format!("/api/v1/usage/{tenant}?window=month")).await?;
        let report: Report = serde_json::from_value(report).context("the usage report")?;
        Ok(Self(report.rows.iter().map(|row| (row.meter, row.quantity)).collect()))
    }

    fn get(&self, meter: Meter) -> u64 {
        self.0.get(&meter).copied().unwrap_or_default()
    }

    /// Waits until so many more events have come in and were handed over than before.
    pub async fn grown(
        self,
        client: &Client,
        tenant: &str,
        events_in: u64,
        deliveries: u64,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        loop {
            let now = Self::read(client, tenant).await?;
            let more = |meter| now.get(meter).saturating_sub(self.get(meter));
            let (more_in, more_deliveries) = (more(Meter::EventsIn), more(Meter::Deliveries));
            if more_in >= events_in && more_deliveries >= deliveries {
                return Ok(now);
            }
            anyhow::ensure!(
                started.elapsed() < deadline,
                "after {} s usage says {more_in} of {events_in} events in, and {more_deliveries} of {deliveries} deliveries",
                deadline.as_secs()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Prints usage and the draft.
pub async fn print(client: &Client, tenant: &str, used: &Used) -> anyhow::Result<()> {
    println!("\nusage of {tenant}, this month so far");
    for (meter, quantity) in &used.0 {
        println!("  {:<34} {quantity:>12} {}", meter.name(), meter.unit());
    }
    let draft = client.read(&format!("/api/v1/invoice/{tenant}")).await?;
    let invoice: Invoice = serde_json::from_value(draft).context("the invoice")?;
    println!("\n{} {}", invoice.state().name(), invoice.id);
    for line in &invoice.lines {
        let amount = Money::new(line.amount_minor, invoice.currency).decimal();
        println!("  {:<20} {:<42} {amount:>8}", what(line), how(line));
    }
    println!("  {:<63} {:>8}", "total", invoice.total());
    Ok(())
}

fn what(line: &Line) -> String {
    match line.meter {
        Some(meter) => meter.name().to_owned(),
        None => line.kind.name().to_owned(),
    }
}

/// `tier 1: 975 x 0.02`, as a reader with a pencil would write it.
fn how(line: &Line) -> String {
    let tier = line.tier.map(|tier| tier.to_string()).unwrap_or_default();
    match (line.quantity, line.price) {
        (Some(quantity), Some(price)) if price.per() == 1 => format!("{tier}: {quantity} x {}", price.amount()),
        (Some(quantity), Some(price)) => format!("{tier}: {quantity} x {} / {}", price.amount(), price.per()),
        (Some(quantity), None) => format!("{tier}: {quantity}"),
        _ => format!("{} to {}", line.window.from(), line.window.to()),
    }
}

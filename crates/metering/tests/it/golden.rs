//! Invoices and reports as they look, held in files. `UPDATE=1 cargo test -p er-metering` rewrites them.

use er_metering::render::{invoice_csv, invoice_html, report_csv, report_html};
use er_metering::{draft, verify, Invoice, Ledger, Meter, Record, Report, Subscription, Window};

use crate::kit::{at, hold, month, period, read};

fn pretty<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

fn held(name: &str, invoice: &Invoice) {
    hold(&format!("{name}.json"), &pretty(invoice));
    hold(&format!("{name}.csv"), &invoice_csv(invoice));
    hold(&format!("{name}.html"), &invoice_html(invoice));
    assert_eq!(&serde_json::from_str::<Invoice>(&read(&format!("tests/data/{name}.json"))).unwrap(), invoice);
}

fn merge(ledger: &mut Ledger, file: &str) {
    for record in Record::parse_lines(&read(file)).unwrap() {
        let _ = ledger.merge(&record).unwrap();
    }
}

#[test]
fn an_invoice_and_the_one_that_corrects_it_look_as_they_should() {
    let subscription: Subscription = serde_json::from_str(&read("tests/data/subscription.json")).unwrap();
    let both = period("2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z");
    let mut ledger = Ledger::new(both.from());
    merge(&mut ledger, "tests/data/usage.jsonl");
    let usage = ledger.usage("acme", both).unwrap();
    let mut march = draft(&subscription, &usage, month("2026-03"), &[]).unwrap();
    march.issue(at("2026-04-01T01:00:00.25Z")).unwrap();
    held("march", &march);

    merge(&mut ledger, "tests/data/late.jsonl");
    let usage = ledger.usage("acme", both).unwrap();
    hold("differences.json", &pretty(&verify(&march, &subscription, &usage, &[]).unwrap()));
    let mut april = draft(&subscription, &usage, month("2026-04"), std::slice::from_ref(&march)).unwrap();
    april.issue(at("2026-05-01T01:00:00Z")).unwrap();
    april.void(at("2026-05-02T09:30:00Z")).unwrap();
    held("april", &april);
}

#[test]
fn a_report_looks_as_it_should() {
    let mut ledger = Ledger::new(at("2026-03-01T00:00:00Z"));
    merge(&mut ledger, "tests/data/usage.jsonl");
    let usage = ledger.usage("acme", month("2026-03")).unwrap();
    let meters = [Meter::EventsIn, Meter::Deliveries, Meter::MemoryMibUs];
    let report = Report::new(&usage, Window::Day, month("2026-03"), &meters).unwrap();
    hold("report.json", &pretty(&report));
    hold("report.csv", &report_csv(&report));
    hold("report.html", &report_html(&report));
}

#[test]
fn nothing_of_a_tenants_text_is_run_by_a_browser_or_a_spreadsheet() {
    let (csv, html) = (read("tests/data/march.csv"), read("tests/data/march.html"));
    assert!(html.contains("=Team &quot;&lt;b&gt;A&amp;B&lt;/b&gt;&quot;") && !html.contains("<b>"));
    assert!(csv.contains(r#","'=Team ""<b>A&B</b>""","#));
    let rows = csv.split("\r\n").filter(|row| !row.is_empty());
    assert!(rows.clone().count() > 5 && rows.clone().all(|row| row.split(',').count() == 16), "{csv}");
}

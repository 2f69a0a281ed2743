//! The example of `docs/billing.md`, run as it stands there. `UPDATE=1` rewrites its invoices.

use er_metering::render::invoice_csv;
use er_metering::{draft, verify, Invoice, Ledger, Meter, Plan, Record, Subscription};

use crate::kit::{at, month, path, period, read, updating};

const PAGE: &str = "../../docs/billing.md";

/// Where the text between two fences is.
fn fenced(page: &str, info: &str) -> std::ops::Range<usize> {
    let open = format!("\n```{info}\n");
    let start = page.find(&open).unwrap_or_else(|| panic!("the page has no {info}")) + open.len();
    let end = start + page[start - 1..].find("\n```").unwrap_or_else(|| panic!("{info} has no end"));
    start..end
}

fn text(page: &str, info: &str) -> String {
    page[fenced(page, info)].to_owned()
}

/// The columns that the page shows: it has no room for all.
fn narrow(invoice: &Invoice) -> String {
    let csv = invoice_csv(invoice);
    let rows = csv.split("\r\n").filter(|row| !row.is_empty());
    let cut = rows.map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let [kind, corrects, plan, meter, tier, quantity, price, per, amount] =
            [2, 3, 4, 5, 9, 10, 11, 12, 13].map(|place: usize| cells[place]);
        [kind, corrects, plan, meter, tier, quantity, price, per, amount].join(",") + "\n"
    });
    cut.collect()
}

fn shown(invoice: &Invoice) {
    let info = format!("csv {}", invoice.id);
    let now = narrow(invoice);
    let mut page = read(PAGE);
    if updating() {
        let range = fenced(&page, &info);
        page.replace_range(range, &now);
        std::fs::write(path(PAGE), &page).unwrap();
    }
    assert_eq!(text(&page, &info), now);
}

#[test]
fn the_example_of_the_page_comes_out_as_the_page_says() {
    let page = read(PAGE);
    let subscription: Subscription = serde_json::from_str(&text(&page, "json subscription")).unwrap();
    let both = period("2026-04-01T00:00:00Z", "2026-06-01T00:00:00Z");
    let mut ledger = Ledger::new(both.from());
    let merge = |ledger: &mut Ledger, info: &str| {
        for record in Record::parse_lines(&text(&page, info)).unwrap() {
            let _ = ledger.merge(&record).unwrap();
        }
        ledger.usage("acme", both).unwrap()
    };

    let usage = merge(&mut ledger, "json april");
    let mut april = draft(&subscription, &usage, month("2026-04"), &[]).unwrap();
    april.issue(at("2026-05-01T01:00:00Z")).unwrap();
    assert_eq!(april.total().to_string(), "78.00 USD");
    shown(&april);

    let usage = merge(&mut ledger, "json may");
    let may = draft(&subscription, &usage, month("2026-05"), std::slice::from_ref(&april)).unwrap();
    assert_eq!(may.total().to_string(), "117.48 USD");
    shown(&may);
    assert_eq!(verify(&may, &subscription, &usage, &[april]).unwrap(), []);
}

#[test]
fn the_page_names_every_meter_and_its_snippets_are_good() {
    let page = read(PAGE);
    for meter in Meter::ALL {
        assert!(page.contains(&format!("| `{meter}` |")), "{meter}");
    }
    assert_eq!(Record::parse_lines(&text(&page, "json")).unwrap().len(), 1);
    let prices = page.lines().filter_map(|line| line.strip_prefix("| `{").and_then(|line| line.split_once("` |")));
    let mut count = 0;
    for (price, _) in prices {
        let plan = format!(r#"{{"name":"p","currency":"USD","charges":[{{"meter":"events_in","price":{{{price}}}]}}"#);
        Plan::from_json(&plan).unwrap_or_else(|error| panic!("{plan}: {error}"));
        count += 1;
    }
    assert_eq!(count, 4, "one for each way to price");
}

//! Invoices over months: changes of plan, usage that comes late, invoices that are taken back.

use er_metering::{draft, verify, Currency, Error, Invoice, Kind, Meter, Money, Period, Subscription, Usage, Window};
use proptest::prelude::*;

use crate::kit::{at, month, period, plan, subscription, usage};

const TEAM: &str = r#"{"name":"Team","currency":"USD","monthly_fee":"30.00","minimum":"40.00","charges":[
    {"meter":"events_in","free":100,"price":{"graduated":[{"up_to":1000,"amount":"0.01"},{"amount":"0.005"}]}},
    {"meter":"deliveries","price":{"volume":[{"up_to":1000,"amount":"0.02"},{"amount":"0.01"}]}}]}"#;

fn spring() -> Period {
    period("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z")
}

fn told(invoice: &Invoice) -> Vec<String> {
    invoice
        .lines
        .iter()
        .map(|line| {
            let kind = line.corrects.as_ref().map_or(line.kind, |corrects| corrects.kind);
            let of = line.corrects.as_ref().map(|corrects| format!("{} ", corrects.invoice)).unwrap_or_default();
            let meter = line.meter.map(|meter| format!(" {meter}")).unwrap_or_default();
            let tier = line.tier.map(|tier| format!(" {tier}")).unwrap_or_default();
            let quantity = line.quantity.map(|quantity| format!(" {quantity}")).unwrap_or_default();
            format!("{of}{kind}{meter}{tier}{quantity} = {}", Money::new(line.amount_minor, invoice.currency).decimal())
        })
        .collect()
}

fn issued(subscription: &Subscription, usage: &Usage, label: &str, history: &[Invoice]) -> Invoice {
    let period = month(label);
    let mut invoice = draft(subscription, usage, period, history).unwrap();
    invoice.issue(period.to()).unwrap();
    invoice
}

#[test]
fn a_month_is_fee_usage_and_what_is_missing_to_the_minimum() {
    let team = subscription("2026-01", TEAM);
    let usage = usage(
        spring(),
        &[("2026-03-31T23:59:00Z", Meter::EventsIn, 150), ("2026-04-01T00:00:00Z", Meter::EventsIn, 9)],
    );
    let invoice = draft(&team, &usage, month("2026-03"), &[]).unwrap();
    let want = ["fixed = 30.00", "usage events_in free 100 = 0.00", "usage events_in 1 50 = 0.50", "minimum = 9.50"];
    assert_eq!((told(&invoice), invoice.total().to_string().as_str()), (want.map(String::from).to_vec(), "40.00 USD"));
    assert_eq!(invoice.id, "acme-2026-03-1");
    assert_eq!(invoice.to_json(), draft(&team, &usage, month("2026-03"), &[]).unwrap().to_json());
    let none = draft(&subscription("2026-04", TEAM), &usage, month("2026-03"), &[]).unwrap();
    assert_eq!((none.lines.len(), none.total_minor), (0, 0), "before the first plan nothing is charged");
}

#[test]
fn a_change_of_plan_splits_the_month_and_each_part_gets_its_share() {
    let mut both = subscription("2026-01", TEAM);
    let big = plan(
        r#"{"name":"Big","currency":"USD","monthly_fee":"90.00","charges":[{"meter":"events_in","price":{"per_unit":{"amount":"0.001"}}}]}"#,
    );
    both.change(at("2026-04-11T00:00:00Z"), big, at("2026-04-10T00:00:00Z")).unwrap();
    let usage = usage(
        spring(),
        &[("2026-04-10T23:59:00Z", Meter::EventsIn, 400), ("2026-04-11T00:00:00Z", Meter::EventsIn, 1000)],
    );
    let invoice = draft(&both, &usage, month("2026-04"), &[]).unwrap();
    let want = [
        "fixed = 10.00",
        "fixed = 60.00",
        "usage events_in free 33 = 0.00",
        "usage events_in 1 333 = 3.33",
        "usage events_in 2 34 = 0.17",
        "usage events_in all 1000 = 1.00",
    ];
    assert_eq!(told(&invoice), want);
    let parts: Vec<_> = invoice.lines.iter().map(|line| line.window.to().to_string()).collect();
    assert_eq!(parts[0], "2026-04-11T00:00:00Z");
    assert_eq!(parts[5], "2026-05-01T00:00:00Z");
}

#[test]
fn late_usage_is_a_correction_on_the_next_invoice_and_only_there() {
    let team = subscription("2026-01", TEAM);
    let mut usage = usage(spring(), &[("2026-03-10T00:00:00Z", Meter::Deliveries, 1000)]);
    let march = issued(&team, &usage, "2026-03", &[]);
    assert_eq!(told(&march), ["fixed = 30.00", "usage deliveries 1 1000 = 20.00"]);
    usage.add(at("2026-03-20T00:00:00Z"), Meter::Deliveries, 1).unwrap();
    let late = verify(&march, &team, &usage, &[]).unwrap();
    assert_eq!(late.len(), 4, "until it is corrected, it is a difference: {late:?}");

    let april = issued(&team, &usage, "2026-04", std::slice::from_ref(&march));
    let want = [
        "fixed = 30.00",
        "minimum = 10.00",
        "acme-2026-03-1 usage deliveries 1 -1000 = -20.00",
        "acme-2026-03-1 usage deliveries 2 1001 = 10.01",
    ];
    assert_eq!(told(&april), want);
    assert_eq!(april.total().to_string(), "30.01 USD");
    assert!(april.lines[2..].iter().all(|line| line.kind == Kind::Correction));
    assert_eq!(april.lines[2].corrects.as_ref().unwrap().period, month("2026-03"));

    let history = [april.clone(), march.clone()];
    let may = issued(&team, &usage, "2026-05", &history);
    assert_eq!(told(&may), ["fixed = 30.00", "minimum = 10.00"]);
    for invoice in [&march, &april, &may] {
        assert_eq!(verify(invoice, &team, &usage, &history).unwrap(), [], "{}", invoice.id);
    }
}

#[test]
fn a_void_invoice_can_be_made_again_and_takes_its_corrections_with_it() {
    let team = subscription("2026-01", TEAM);
    let mut usage = usage(spring(), &[("2026-03-10T00:00:00Z", Meter::EventsIn, 5100)]);
    let mut march = issued(&team, &usage, "2026-03", &[]);
    usage.add(at("2026-03-20T00:00:00Z"), Meter::EventsIn, 200).unwrap();
    let mut april = issued(&team, &usage, "2026-04", std::slice::from_ref(&march));
    assert_eq!(told(&april)[2..], ["acme-2026-03-1 usage events_in 2 200 = 1.00"]);

    // The correction was on the invoice that is void: it is made again.
    april.void(at("2026-05-02T00:00:00Z")).unwrap();
    let again = draft(&team, &usage, month("2026-04"), &[march.clone(), april.clone()]).unwrap();
    assert_eq!((again.id.as_str(), again.lines.clone()), ("acme-2026-04-2", april.lines.clone()));

    // A month that is void is due nothing, not even what was corrected.
    let mut standing = again;
    standing.issue(at("2026-05-02T00:00:00Z")).unwrap();
    march.void(at("2026-05-03T00:00:00Z")).unwrap();
    let history = [march, april, standing];
    let may = draft(&team, &usage, month("2026-05"), &history).unwrap();
    assert_eq!(told(&may)[2..], ["acme-2026-03-1 usage events_in 2 -200 = -1.00"]);
    assert_eq!(verify(&may, &team, &usage, &history).unwrap(), []);

    // The corrected month is charged anew while the correction stands: it is taken back.
    let march = draft(&team, &usage, month("2026-03"), &history).unwrap();
    assert_eq!(march.id, "acme-2026-03-2");
    assert_eq!(told(&march)[3..], ["usage events_in 2 4200 = 21.00", "acme-2026-03-2 usage events_in 2 -200 = -1.00"]);
    assert_eq!(verify(&march, &team, &usage, &history).unwrap(), []);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let team = subscription("2026-01", TEAM);
    let usage = usage(spring(), &[]);
    let march = issued(&team, &usage, "2026-03", &[]);
    let again = draft(&team, &usage, month("2026-03"), std::slice::from_ref(&march));
    assert!(matches!(again, Err(Error::Billed { .. })));
    let days = period("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(draft(&team, &usage, days, &[]), Err(Error::NoMonth(days)));
    let april = Usage::new("acme", month("2026-04"), Window::Hour).unwrap();
    let gap = draft(&team, &april, month("2026-04"), std::slice::from_ref(&march));
    assert!(matches!(gap, Err(Error::NotCovered { .. })), "a gap in the usage at hand is no refund");
    let other = Usage::new("other", spring(), Window::Minute).unwrap();
    assert!(matches!(draft(&team, &other, month("2026-04"), std::slice::from_ref(&march)), Err(Error::Tenant { .. })));
    assert!(matches!(verify(&march, &team, &other, &[]), Err(Error::Tenant { .. })));
    let euros = subscription("2026-01", r#"{"name":"E","currency":"EUR"}"#);
    assert!(matches!(draft(&euros, &usage, month("2026-04"), &[march]), Err(Error::Currencies(..))));
}

#[test]
fn a_change_amid_an_hour_needs_usage_by_the_minute() {
    let mut both = subscription("2026-01", TEAM);
    both.change(at("2026-03-10T12:30:00Z"), plan(TEAM), at("2026-03-01T00:00:00Z")).unwrap();
    let hours = Usage::new("acme", spring(), Window::Hour).unwrap();
    assert!(matches!(draft(&both, &hours, month("2026-03"), &[]), Err(Error::Coarse { .. })));
    assert!(draft(&both, &hours, month("2026-04"), &[]).is_ok());
}

#[test]
fn verify_names_every_number_that_was_tampered_with() {
    let team = subscription("2026-01", TEAM);
    let mut used = usage(spring(), &[("2026-03-10T00:00:00Z", Meter::EventsIn, 2100)]);
    let march = issued(&team, &used, "2026-03", &[]);
    used.add(at("2026-03-11T00:00:00Z"), Meter::EventsIn, 40).unwrap();
    let good = issued(&team, &used, "2026-04", std::slice::from_ref(&march));
    let history = [march.clone()];
    let check = |invoice: &Invoice| -> Vec<String> {
        let found = verify(invoice, &team, &used, &history).unwrap();
        found
            .iter()
            .map(|found| {
                let meter = found.meter.map_or("-", |meter| meter.name());
                format!("{} {meter} {} {}/{}", found.window.from(), found.what, found.expected, found.found)
            })
            .collect()
    };
    assert_eq!(check(&good), [""; 0]);
    let tampered = |change: &dyn Fn(&mut Invoice)| {
        let mut invoice = good.clone();
        change(&mut invoice);
        check(&invoice)
    };
    assert_eq!(tampered(&|invoice| invoice.total_minor += 1), ["2026-04-01T00:00:00Z - total_minor 4020/4021"]);
    let fee = ["2026-04-01T00:00:00Z - amount_minor 3000/2999", "2026-04-01T00:00:00Z - total_minor 4019/4020"];
    assert_eq!(tampered(&|invoice| invoice.lines[0].amount_minor -= 1), fee);
    let correction = ["2026-03-01T00:00:00Z events_in quantity 1040/1039"];
    assert_eq!(tampered(&|invoice| invoice.lines[2].quantity = Some(39)), correction);
    let doubled = tampered(&|invoice| invoice.lines.push(invoice.lines[2].clone()));
    assert_eq!(doubled.len(), 3, "{doubled:?}");
    let orphan = verify(&good, &team, &used, &[]);
    assert!(matches!(orphan, Err(Error::Missing { .. })));
}

#[test]
fn sums_of_lines_that_can_not_be_counted_are_an_error() {
    let huge = r#"{"name":"H","currency":"JPY","charges":[
        {"meter":"events_in","price":{"per_unit":{"amount":"1"}}},{"meter":"events_out","price":{"per_unit":{"amount":"1"}}}]}"#;
    let most = i64::MAX as u64;
    let one = usage(spring(), &[("2026-03-10T00:00:00Z", Meter::EventsIn, most)]);
    assert_eq!(draft(&subscription("2026-01", huge), &one, month("2026-03"), &[]).unwrap().total_minor, i64::MAX);
    let mut two = one;
    two.add(at("2026-03-10T00:00:00Z"), Meter::EventsOut, 1).unwrap();
    let error = draft(&subscription("2026-01", huge), &two, month("2026-03"), &[]);
    assert!(matches!(error, Err(Error::Overflow(_))), "{error:?}");
}

const MONTHS: [&str; 6] = ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"];

/// Usage of one minute: month, part of it, meter, quantity, and how many months late it comes.
fn arrival() -> impl Strategy<Value = (usize, u64, Meter, u64, usize)> {
    let meter = prop::sample::select(vec![Meter::EventsIn, Meter::Deliveries]);
    (0..MONTHS.len(), 0..40_000_u64, meter, 1..3000_u64, 0..3_usize)
}

fn add(usage: &mut Usage, (of, minute, meter, quantity, _): (usize, u64, Meter, u64, usize)) {
    let start = month(MONTHS[of]).from().plus_us(minute as i64 * 60_000_000).unwrap();
    usage.add(start, meter, quantity).unwrap();
}

/// What standing invoices charge for a month, corrections included.
fn charged(of: Period, invoices: &[Invoice]) -> i64 {
    let lines = invoices.iter().filter(|invoice| invoice.state().name() == "issued").flat_map(|invoice| {
        invoice
            .lines
            .iter()
            .map(|line| (line.corrects.as_ref().map_or(invoice.period, |corrects| corrects.period), line))
    });
    lines.filter(|(month, _)| *month == of).map(|(_, line)| line.amount_minor).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_late_or_is_voided_each_month_costs_in_the_end_what_was_used(
        arrivals in prop::collection::vec(arrival(), 0..30),
        voids in prop::collection::vec(0..3_u8, MONTHS.len()),
        change in 0..200_000_i64,
    ) {
        let mut team = subscription("2026-01", TEAM);
        let to = team.begins().plus_us(change * 60_000_000).unwrap();
        let other = TEAM.replace("Team", "Other").replace("30.00", "70.00").replace("0.01\"", "0.03\"");
        team.change(to, plan(&other), team.begins()).unwrap();

        let mut history: Vec<Invoice> = Vec::new();
        let mut known = usage(spring(), &[]);
        for (now, label) in MONTHS.into_iter().enumerate() {
            arrivals.iter().filter(|arrival| arrival.0 + arrival.4 == now).for_each(|arrival| add(&mut known, *arrival));
            let invoice = issued(&team, &known, label, &history);
            prop_assert_eq!(verify(&invoice, &team, &known, &history).unwrap(), vec![]);
            let backwards: Vec<Invoice> = history.iter().rev().cloned().collect();
            prop_assert_eq!(issued(&team, &known, label, &backwards).to_json(), invoice.to_json());
            history.push(invoice);
            if voids[now] > 0 {
                let place = now / 2;
                if let Some(old) = history.iter_mut().find(|old| old.period == month(MONTHS[place]) && old.state().name() == "issued") {
                    old.void(month("2026-06").to()).unwrap();
                }
                // Once void, the month is charged again by another invoice, or by none.
                if voids[now] == 1 {
                    let again = issued(&team, &known, MONTHS[place], &history);
                    history.push(again);
                }
            }
            history.rotate_left(1);
        }
        arrivals.iter().filter(|arrival| arrival.0 + arrival.4 >= MONTHS.len()).for_each(|arrival| add(&mut known, *arrival));
        let mut july = Usage::new("acme", period("2026-01-01T00:00:00Z", "2026-08-01T00:00:00Z"), Window::Minute).unwrap();
        for (window, used) in known.by(Window::Minute, spring()).unwrap() {
            july.add_all(window.from(), &used).unwrap();
        }
        history.push(issued(&team, &july, "2026-07", &history));

        let ids: std::collections::BTreeSet<&str> = history.iter().map(|invoice| invoice.id.as_str()).collect();
        prop_assert_eq!(ids.len(), history.len(), "an id is of one invoice");
        for label in MONTHS {
            // As if everything had been known in time.
            let afresh = draft(&team, &july, month(label), &[]).unwrap();
            let stands = history.iter().any(|invoice| invoice.period == month(label) && invoice.state().name() == "issued");
            let due = if stands { afresh.total_minor } else { 0 };
            prop_assert_eq!(charged(month(label), &history), due, "{}", label);
        }
        for invoice in history.iter().filter(|invoice| invoice.state().name() == "issued") {
            prop_assert_eq!(invoice.total_minor, invoice.lines.iter().map(|line| line.amount_minor).sum::<i64>());
            prop_assert_eq!(verify(invoice, &team, &july, &history).unwrap(), vec![], "{}", invoice.id);
        }
    }

    #[test]
    fn how_usage_is_cut_into_windows_changes_no_line(arrivals in prop::collection::vec(arrival(), 0..30)) {
        let team = subscription("2026-01", TEAM);
        let mut minutes = usage(spring(), &[]);
        arrivals.iter().for_each(|arrival| add(&mut minutes, *arrival));
        for window in Window::ALL {
            let mut wide = Usage::new("acme", spring(), window).unwrap();
            for (of, used) in minutes.by(window, spring()).unwrap() {
                wide.add_all(of.from(), &used).unwrap();
            }
            for label in MONTHS {
                let lines = |usage: &Usage| draft(&team, usage, month(label), &[]).unwrap().to_json();
                prop_assert_eq!(lines(&wide), lines(&minutes));
            }
            prop_assert_eq!(minutes.differences(&wide).unwrap(), vec![]);
        }
    }

    #[test]
    fn a_change_to_the_same_plan_keeps_fee_and_minimum(minute in 1..44_640_i64) {
        let march = month("2026-03");
        let mut cut = subscription("2026-01", TEAM);
        cut.change(march.from().plus_us(minute * 60_000_000).unwrap(), plan(TEAM), march.from()).unwrap();
        let total = draft(&cut, &usage(spring(), &[]), march, &[]).unwrap().total();
        prop_assert_eq!(total, Money::new(4000, Currency::from_code("USD").unwrap()));
    }
}

//! An invoice and a report as pages.

use std::fmt::Write;

use super::page::{escape, grouped, page};
use crate::{Band, Invoice, Kind, Line, Money, Period, Report, State, Time, Window};

pub fn invoice_html(invoice: &Invoice) -> String {
    let mut facts = vec![
        ("Tenant", invoice.tenant.clone()),
        ("Period", span(invoice.period)),
        ("State", invoice.state().name().to_owned()),
    ];
    match invoice.state() {
        State::Draft => {}
        State::Issued { issued } => facts.push(("Issued", utc(issued))),
        State::Void { issued, voided } => facts.extend([("Issued", utc(issued)), ("Voided", utc(voided))]),
    }
    facts.push(("Total", money(invoice, invoice.total_minor)));
    let mut body = list(&facts);
    body.push_str(
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">For</th><th scope=\"col\">Window, UTC</th>\
         <th scope=\"col\">Tier</th><th scope=\"col\" class=\"number\">Count</th>\
         <th scope=\"col\" class=\"number\">Price</th><th scope=\"col\" class=\"number\">Amount</th></tr></thead>\n<tbody>\n",
    );
    for line in &invoice.lines {
        let cells = [
            format!("<td>{}</td>", what(line)),
            format!("<td>{}</td>", escape(&span(line.window))),
            format!("<td>{}</td>", line.tier.map(tier).unwrap_or_default()),
            format!("<td class=\"number\">{}</td>", count(line)),
            format!("<td class=\"number\">{}</td>", price(invoice, line)),
            format!("<td class=\"number\">{}</td>", money(invoice, line.amount_minor)),
        ];
        body.push_str("<tr>");
        body.push_str(&cells.concat());
        body.push_str("</tr>\n");
    }
    let total = money(invoice, invoice.total_minor);
    // To a String, which takes anything.
    let _ = write!(
        body,
        "</tbody>\n<tfoot><tr><th scope=\"row\" colspan=\"5\">Total</th><td class=\"number\">{total}</td></tr></tfoot>\n</table></div>\n"
    );
    // On paper nobody must take for owed what is not.
    let state = match invoice.state() {
        State::Issued { .. } => "",
        State::Draft => " (draft)",
        State::Void { .. } => " (void)",
    };
    page(&format!("Invoice {}{state}", invoice.id), &body)
}

pub fn report_html(report: &Report) -> String {
    let facts = [("Period", span(report.period)), ("By", report.window.name().to_owned())];
    let mut body = list(&facts);
    body.push_str(
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Window, UTC</th><th scope=\"col\">Meter</th>\
         <th scope=\"col\" class=\"number\">Count</th><th scope=\"col\">Unit</th></tr></thead>\n<tbody>\n",
    );
    for row in &report.rows {
        let quantity = grouped(&row.quantity.to_string());
        let (meter, unit) = (row.meter, row.meter.unit());
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{meter}</td><td class=\"number\">{quantity}</td><td>{unit}</td></tr>",
            span(row.window)
        );
    }
    body.push_str("</tbody>\n</table></div>\n");
    page(&format!("Usage of {}", report.tenant), &body)
}

fn list(facts: &[(&str, String)]) -> String {
    let items = facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(value)));
    format!("<dl>\n{}</dl>\n", items.collect::<String>())
}

fn what(line: &Line) -> String {
    let kind = |kind: Kind| match kind {
        Kind::Fixed => "monthly fee",
        Kind::Usage => "usage",
        Kind::Minimum => "up to the minimum",
        Kind::Correction => "correction",
    };
    let name = line
        .meter
        .map_or(kind(line.corrects.as_ref().map_or(line.kind, |corrects| corrects.kind)), |meter| meter.name());
    let plan = line.plan.as_ref().map(|plan| format!("plan {plan}"));
    let corrects = line.corrects.as_ref().map(|corrects| format!("corrects {}", corrects.invoice));
    let small = plan.into_iter().chain(corrects).map(|text| format!("<small>{}</small>", escape(&text)));
    format!("{name}{}", small.collect::<String>())
}

fn tier(band: Band) -> String {
    match band {
        Band::Free => "allowance".into(),
        Band::All => String::new(),
        Band::Package => "packages".into(),
        Band::Tier(number) => number.to_string(),
    }
}

fn count(line: &Line) -> String {
    let unit = line.meter.map_or("", |meter| meter.unit());
    line.quantity.map(|quantity| format!("{} {unit}", grouped(&quantity.to_string()))).unwrap_or_default()
}

fn price(invoice: &Invoice, line: &Line) -> String {
    let Some(price) = line.price else { return String::new() };
    let amount = grouped(&price.shown(invoice.currency));
    match price.per() {
        1 => amount,
        per => format!("{amount} per {}", grouped(&per.to_string())),
    }
}

fn money(invoice: &Invoice, minor: i64) -> String {
    format!("{} {}", grouped(&Money::new(minor, invoice.currency).decimal()), invoice.currency)
}

/// A whole month by its name, anything else by its ends.
fn span(period: Period) -> String {
    if period.is_month() {
        return period.month_label();
    }
    format!("{} to {}", moment(period.from()), moment(period.to()))
}

fn moment(time: Time) -> String {
    let text = time.to_string();
    if Window::Day.begins_at(time) {
        text.chars().take(10).collect()
    } else {
        text.replacen('T', " ", 1).trim_end_matches('Z').to_owned()
    }
}

fn utc(time: Time) -> String {
    format!("{} UTC", moment(time))
}

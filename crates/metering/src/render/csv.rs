//! CSV as RFC 4180 has it.

use crate::{Invoice, Money, Report};

const INVOICE: [&str; 16] = [
    "invoice", "state", "kind", "corrects", "plan", "meter", "unit", "from", "to", "tier", "quantity", "price", "per",
    "amount", "currency", "tenant",
];
const REPORT: [&str; 6] = ["tenant", "from", "to", "meter", "quantity", "unit"];

/// A row for each line, without a row for the total: whoever adds up the column `amount` has it.
pub fn invoice_csv(invoice: &Invoice) -> String {
    let mut out = Csv::new(&INVOICE);
    for line in &invoice.lines {
        out.text(&invoice.id);
        out.text(invoice.state().name());
        out.text(line.kind.name());
        out.text(line.corrects.as_ref().map_or("", |corrects| &corrects.invoice));
        out.text(line.plan.as_deref().unwrap_or_default());
        out.text(line.meter.map_or("", |meter| meter.name()));
        out.text(line.meter.map_or("", |meter| meter.unit()));
        out.text(&line.window.from().to_string());
        out.text(&line.window.to().to_string());
        out.text(&line.tier.map(|tier| tier.to_string()).unwrap_or_default());
        out.number(&line.quantity.map(|quantity| quantity.to_string()).unwrap_or_default());
        out.number(&line.price.map(|price| price.amount()).unwrap_or_default());
        out.number(&line.price.map(|price| price.per().to_string()).unwrap_or_default());
        out.number(&Money::new(line.amount_minor, invoice.currency).decimal());
        out.text(invoice.currency.code());
        out.text(&invoice.tenant);
        out.end();
    }
    out.text
}

/// A row for each window and meter.
pub fn report_csv(report: &Report) -> String {
    let mut out = Csv::new(&REPORT);
    for row in &report.rows {
        out.text(&report.tenant);
        out.text(&row.window.from().to_string());
        out.text(&row.window.to().to_string());
        out.text(row.meter.name());
        out.number(&row.quantity.to_string());
        out.text(row.meter.unit());
        out.end();
    }
    out.text
}

struct Csv {
    text: String,
    fields: usize,
}

// === impl Csv ===

impl Csv {
    fn new(head: &[&str]) -> Self {
        let mut csv = Csv { text: String::new(), fields: 0 };
        for name in head {
            csv.text(name);
        }
        csv.end();
        csv
    }

    /// Somebody's text. What a spreadsheet would run as a formula gets an apostrophe before it.
    fn text(&mut self, field: &str) {
        let runs = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
        self.field(if runs { "'" } else { "" }, field);
    }

    /// Digits of ours, perhaps with a minus, which must stay a number.
    fn number(&mut self, field: &str) {
        self.field("", field);
    }

    fn field(&mut self, before: &str, field: &str) {
        if self.fields > 0 {
            self.text.push(',');
        }
        self.fields = self.fields.saturating_add(1);
        if field.contains(['"', ',', '\r', '\n']) {
            self.text.push('"');
            self.text.push_str(before);
            self.text.push_str(&field.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(before);
            self.text.push_str(field);
        }
    }

    fn end(&mut self) {
        self.text.push_str("\r\n");
        self.fields = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be_and_never_formulas() {
        let mut csv = Csv { text: String::new(), fields: 0 };
        for field in ["", "plain", "a,b", "say \"x\"", "a\r\nb", "=1+1", "-2", "@x", "=a,\"b\"", "\t=1", "＝1"] {
            csv.text(field);
        }
        csv.number("-2");
        csv.end();
        assert_eq!(
            csv.text,
            ",plain,\"a,b\",\"say \"\"x\"\"\",\"a\r\nb\",'=1+1,'-2,'@x,\"'=a,\"\"b\"\"\",'\t=1,'＝1,-2\r\n"
        );
    }
}

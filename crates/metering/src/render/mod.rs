//! Invoices and reports for people and spreadsheets: CSV, and a page that prints well. JSON is serde's.

mod csv;
mod html;
mod page;

pub use csv::{invoice_csv, report_csv};
pub use html::{invoice_html, report_html};

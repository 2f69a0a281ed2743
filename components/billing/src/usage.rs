//! Usage for people, and usage for invoices.

use er_metering::{render, Meter, Period, Report, Subscription, Time, Usage, Window};

use crate::backend::{Backend, Source};
use crate::bindings::eventrunner::platform::types::Fault;
use crate::bindings::exports::eventrunner::platform::accounts::{Document, Format};
use crate::fault::{defect, invalid, OrFault as _};

/// What a report is asked for, as it came.
#[derive(Debug)]
pub struct Asked {
    pub window: String,
    pub since: Option<String>,
    pub until: Option<String>,
    pub meters: Vec<String>,
}

pub fn report(backend: &dyn Backend, tenant: &str, asked: &Asked, format: Format) -> Result<Document, Fault> {
    let window = Window::from_name(&asked.window).ok_or_else(|| {
        let names = Window::ALL.map(Window::name).join(", ");
        invalid(format!("window is `{}`; use one of {names}", asked.window))
    })?;
    let meters = asked.meters.iter().map(|name| meter(name)).collect::<Result<Vec<_>, _>>()?;
    let now = backend.now()?;
    let since = match &asked.since {
        Some(text) => Window::Minute.start(Time::parse(text).or_fault()?),
        None => Window::Month.start(now),
    };
    let until = match &asked.until {
        Some(text) => minute_after(Time::parse(text).or_fault()?)?,
        None => Window::Minute.end(now).or_fault()?,
    };
    let period = Period::new(since, until).or_fault()?;
    let mut usage = Usage::new(tenant, period, Window::Minute).or_fault()?;
    for (start, used) in backend.usage(Source::Analytics, tenant, period, window)? {
        usage.add_all(start, &used).or_fault()?;
    }
    let report = Report::new(&usage, window, period, &meters).or_fault()?;
    Ok(match format {
        Format::Json => document(JSON, serde_json::to_string(&report).map_err(defect)?),
        Format::Csv => document(CSV, render::report_csv(&report)),
        Format::Html => document(HTML, render::report_html(&report)),
    })
}

pub const JSON: &str = "application/json";
pub const CSV: &str = "text/csv; charset=utf-8";
pub const HTML: &str = "text/html; charset=utf-8";

pub fn document(content_type: &str, body: String) -> Document {
    Document { content_type: content_type.to_owned(), body }
}

/// The first whole minute that is not before `time`.
pub fn minute_after(time: Time) -> Result<Time, Fault> {
    if Window::Minute.begins_at(time) {
        Ok(time)
    } else {
        Window::Minute.end(time).or_fault()
    }
}

fn meter(name: &str) -> Result<Meter, Fault> {
    Meter::from_name(name).ok_or_else(|| {
        let names = Meter::ALL.map(Meter::name).join(", ");
        invalid(format!("meter `{name}` is not known; use some of {names}"))
    })
}

/// All that rating the months from `first` to `last` needs: a sum for each part of a month that one plan held. The sum
/// stands at the part's first minute, since nobody asks for less than a part.
pub fn by_parts(
    backend: &dyn Backend,
    source: Source,
    tenant: &str,
    subscription: &Subscription,
    first: Period,
    last: Period,
) -> Result<Usage, Fault> {
    let covers = Period::new(first.from(), last.to()).or_fault()?;
    let mut usage = Usage::new(tenant, covers, Window::Minute).or_fault()?;
    let mut month = first;
    loop {
        for (part, _) in subscription.parts(month) {
            let rows = backend.usage(source, tenant, part, Window::Month)?;
            usage.add_rows(part.from(), &rows).or_fault()?;
        }
        if month.to() >= last.to() {
            return Ok(usage);
        }
        month = Window::Month.of(month.to()).or_fault()?;
    }
}

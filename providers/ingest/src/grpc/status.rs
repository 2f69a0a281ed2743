//! What went wrong, as gRPC says it: one table of codes, and the details that clients act on.

use std::collections::HashMap;
use std::time::Duration;

use er_event::{Kind, Problem};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Who says it, in `ErrorInfo`.
pub const DOMAIN: &str = "eventrunner";
/// When to come again, where nobody said so.
const RETRY_MS: u32 = 1_000;

/// What a call's message is, and so how a path in it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Event,
    Batch,
}

/// The code of a problem, by its HTTP status.
pub fn code(problem: &Problem) -> Code {
    match problem.status {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        405 => Code::Unimplemented,
        409 => Code::Aborted,
        412 | 428 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        // Whatever else is wrong with what was sent: too large, too. It would be wrong again.
        400..=499 => Code::InvalidArgument,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

/// The whole answer.
pub fn of(problem: &Problem, message: Message) -> Status {
    let code = code(problem);
    let field = path(problem, message);
    let mut details = ErrorDetails::new();
    let mut info = HashMap::from([("type".to_string(), problem.kind.urn())]);
    info.extend(problem.mend.clone().map(|mend| ("mend".to_string(), mend)));
    details.set_error_info(problem.kind.slug().to_uppercase().replace('-', "_"), DOMAIN, info);
    if code == Code::InvalidArgument {
        details.add_bad_request_violation(field.clone(), problem.detail.clone());
    }
    if problem.kind.retryable() {
        let ms = problem.retry_after_ms.unwrap_or(RETRY_MS);
        details.set_retry_info(Some(Duration::from_millis(ms.into())));
    }
    let mut said = problem.detail.clone();
    if problem.index.is_some() {
        said = format!("{field}: {said}");
    }
    if let Some(mend) = &problem.mend {
        said = format!("{said}. {mend}");
    }
    Status::with_error_details(code, said, details)
}

/// Where in the message, as `events[3].id`; empty for the message itself.
pub fn path(problem: &Problem, message: Message) -> String {
    let event = match (message, problem.index) {
        (Message::Batch, Some(index)) => format!("events[{index}]"),
        (Message::Batch, None) if problem.kind == Kind::TooManyEvents => return "events".into(),
        _ => String::new(),
    };
    let field = match problem.field.as_deref() {
        None => return event,
        // How the event names what JSON calls otherwise.
        Some("specversion") => "spec_version".into(),
        Some("data" | "data_base64") => "data".into(),
        Some(name @ ("id" | "source" | "type")) => name.into(),
        Some(name) => format!("attributes[{name:?}]"),
    };
    if event.is_empty() {
        field
    } else {
        format!("{event}.{field}")
    }
}

/// Without the place in a text that the client never saw: events are checked as JSON, and came as something else.
pub fn unplaced(mut problem: Problem) -> Problem {
    if let Some(at) = problem.at.take() {
        let place = format!("line {}, column {}: ", at.line, at.column);
        if let Some(rest) = problem.detail.strip_prefix(&place) {
            problem.detail = rest.to_string();
        }
    }
    problem
}

/// The time that the client gave is over.
pub fn late() -> Problem {
    Problem::new(
        Kind::Timeout,
        "the call's deadline passed before its events were confirmed as safe; they may or may not be",
    )
    .mend("Send the same events with the same ids again, with more time.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_code_that_clients_expect() {
        for kind in Kind::ALL {
            let code = code(&Problem::new(*kind, ""));
            let wanted = match kind {
                Kind::Unauthorized => Code::Unauthenticated,
                Kind::Forbidden => Code::PermissionDenied,
                Kind::RateLimited => Code::ResourceExhausted,
                Kind::Overloaded | Kind::Unavailable => Code::Unavailable,
                Kind::Timeout => Code::DeadlineExceeded,
                Kind::Internal => Code::Internal,
                Kind::InvalidEvent | Kind::InvalidJson | Kind::EventTooLarge | Kind::TooManyEvents => {
                    Code::InvalidArgument
                }
                _ => continue,
            };
            assert_eq!(code, wanted, "{kind:?}");
        }
    }

    #[test]
    fn only_what_may_go_well_later_says_when() {
        for kind in Kind::ALL {
            let status = of(&Problem::new(*kind, "x"), Message::Event);
            let details = status.get_error_details();
            assert_eq!(details.retry_info().is_some(), kind.retryable(), "{kind:?}");
            assert_eq!(details.bad_request().is_some(), status.code() == Code::InvalidArgument, "{kind:?}");
            let info = details.error_info().unwrap();
            assert_eq!((info.domain.as_str(), info.metadata["type"].as_str()), (DOMAIN, kind.urn().as_str()));
        }
        let status = of(&Problem::new(Kind::RateLimited, "x").retry_after_ms(250), Message::Event);
        let delay = status.get_error_details().retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_violation_names_the_field_as_the_message_does() {
        let bad = |field: &str| Problem::new(Kind::InvalidEvent, "x").field(field);
        for (problem, message, wanted) in [
            (bad("id"), Message::Event, "id"),
            (bad("specversion").event(3), Message::Batch, "events[3].spec_version"),
            (bad("time").event(0), Message::Batch, "events[0].attributes[\"time\"]"),
            (bad("data_base64"), Message::Event, "data"),
            (Problem::new(Kind::EventTooLarge, "x").event(1), Message::Batch, "events[1]"),
            (Problem::new(Kind::TooManyEvents, "x"), Message::Batch, "events"),
            (Problem::new(Kind::TooLarge, "x"), Message::Event, ""),
        ] {
            let status = of(&problem, message);
            let details = status.get_error_details();
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, wanted);
        }
        let status = of(&bad("id").event(2).mend("Add it."), Message::Batch);
        assert_eq!(status.message(), "events[2].id: x. Add it.");
    }

    #[test]
    fn a_place_in_what_was_never_sent_is_not_told() {
        let problem = Problem::new(Kind::InvalidEvent, "line 1, column 7: `id` is missing").at(1, 7).field("id");
        let problem = unplaced(problem);
        assert_eq!((problem.detail.as_str(), problem.at), ("`id` is missing", None));
        let other = Problem::new(Kind::InvalidEvent, "the event is empty");
        assert_eq!(unplaced(other.clone()), other);
    }
}

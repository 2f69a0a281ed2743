//! What publishers are told when their events could not be made durable.

use er_event::admit::Answer;
use er_event::{Kind, Problem};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// How long to wait where the fault doesn't say.
pub const RETRY_AFTER_MS: u32 = 1000;

/// Takes back every promise: some entries may be durable, but nobody knows which, and sending them again is harmless.
pub fn all_taken(answers: &mut [Answer], cause: &Fault) {
    for answer in answers {
        if matches!(answer, Answer::Ids(ids) if !ids.is_empty()) {
            *answer = Answer::Problem(problem(cause));
        }
    }
}

fn problem(cause: &Fault) -> Problem {
    let kind = match cause.code {
        FaultCode::Exhausted => Kind::Overloaded,
        FaultCode::Unavailable => Kind::Unavailable,
        _ => Kind::Internal,
    };
    Problem::new(kind, format!("the events are not known to be safe: {}", cause.detail))
        .mend("Send the same request again, with the same ids; what was stored already is not stored twice.")
        .retry_after_ms(cause.retry_after_ms.unwrap_or(RETRY_AFTER_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Vec<Answer> {
        vec![
            Answer::Ids(vec!["1".into(), "2".into()]),
            Answer::Problem(Problem::new(Kind::InvalidJson, "no JSON")),
            Answer::Ids(vec![]),
        ]
    }

    fn told(code: FaultCode, retry_after_ms: Option<u32>) -> (u16, Option<u32>) {
        let mut answers = answers();
        all_taken(&mut answers, &Fault { code, detail: "away".into(), retry_after_ms });
        assert_eq!(answers[1..], self::answers()[1..], "what was refused or empty stays as it is");
        match &answers[0] {
            Answer::Problem(problem) => (problem.status, problem.retry_after_ms),
            Answer::Ids(_) => panic!("a promise was kept that nobody can keep"),
        }
    }

    #[test]
    fn a_failed_append_takes_back_ids_and_nothing_else() {
        assert_eq!(told(FaultCode::Unavailable, None), (503, Some(RETRY_AFTER_MS)));
        assert_eq!(told(FaultCode::Exhausted, Some(250)), (503, Some(250)));
        assert_eq!(told(FaultCode::Invalid, None), (500, Some(RETRY_AFTER_MS)));
    }
}

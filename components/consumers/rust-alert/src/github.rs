//! What is worth an alert among GitHub's webhooks.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, PartialEq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub title: String,
    pub url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// The few fields of all those webhooks that we read. Each webhook has some of them.
#[derive(Deserialize)]
struct Webhook {
    repository: Option<Repository>,
    #[serde(alias = "check_run", alias = "workflow_job")]
    workflow_run: Option<Run>,
    alert: Option<SecurityAlert>,
    rule: Option<Named>,
    #[serde(default)]
    forced: bool,
    r#ref: Option<String>,
    compare: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    html_url: String,
}

#[derive(Deserialize)]
struct Run {
    name: Option<String>,
    conclusion: Option<String>,
    html_url: Option<String>,
}

#[derive(Deserialize)]
struct SecurityAlert {
    html_url: Option<String>,
    /// Of a Dependabot alert.
    security_advisory: Option<Advisory>,
    /// Of a secret scanning alert.
    secret_type: Option<String>,
    /// Of a code scanning alert.
    rule: Option<Rule>,
}

#[derive(Deserialize)]
struct Advisory {
    summary: String,
    severity: String,
}

#[derive(Deserialize)]
struct Rule {
    description: String,
    /// How much it matters as code: note, warning, error.
    severity: Option<String>,
    /// How much it matters to safety, where it does.
    security_severity_level: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What an event of this type with this data has to say, if anything. Our own alerts have another type and say nothing.
pub fn look_at(event_type: &str, data: Option<&RawValue>) -> Result<Option<Finding>, serde_json::Error> {
    let (Some(webhook), Some(data)) = (event_type.strip_prefix("com.github."), data) else {
        return Ok(None);
    };
    let judge = match webhook {
        "check_run.completed" | "workflow_job.completed" | "workflow_run.completed" => failed_run,
        "dependabot_alert.created" | "dependabot_alert.reopened" => vulnerable_dependency,
        "secret_scanning_alert.created" | "secret_scanning_alert.reopened" => leaked_secret,
        "code_scanning_alert.created" | "code_scanning_alert.reopened" => unsafe_code,
        "branch_protection_rule.deleted" => unprotected_branch,
        "repository.publicized" => made_public,
        "push" => rewritten_history,
        _ => return Ok(None),
    };
    serde_json::from_str(data.get()).map(|webhook| judge(&webhook))
}

fn failed_run(webhook: &Webhook) -> Option<Finding> {
    let run = webhook.workflow_run.as_ref()?;
    if !matches!(run.conclusion.as_deref(), Some("failure" | "timed_out" | "startup_failure")) {
        return None;
    }
    let name = run.name.as_deref().unwrap_or("a run");
    webhook.finding(Severity::Medium, format!("{name} failed"), run.html_url.as_ref())
}

fn vulnerable_dependency(webhook: &Webhook) -> Option<Finding> {
    let alert = webhook.alert.as_ref()?;
    let advisory = alert.security_advisory.as_ref()?;
    webhook.finding(Severity::parse(&advisory.severity), advisory.summary.clone(), alert.html_url.as_ref())
}

fn leaked_secret(webhook: &Webhook) -> Option<Finding> {
    let alert = webhook.alert.as_ref()?;
    let kind = alert.secret_type.as_deref().unwrap_or("secret");
    webhook.finding(Severity::Critical, format!("a {kind} leaked"), alert.html_url.as_ref())
}

fn unsafe_code(webhook: &Webhook) -> Option<Finding> {
    let alert = webhook.alert.as_ref()?;
    let rule = alert.rule.as_ref()?;
    let severity = rule.security_severity_level.as_ref().or(rule.severity.as_ref());
    let severity = severity.map_or(Severity::Medium, |severity| Severity::parse(severity));
    webhook.finding(severity, rule.description.clone(), alert.html_url.as_ref())
}

fn unprotected_branch(webhook: &Webhook) -> Option<Finding> {
    let branch = &webhook.rule.as_ref()?.name;
    webhook.finding(Severity::High, format!("branch {branch} is no longer protected"), None)
}

fn made_public(webhook: &Webhook) -> Option<Finding> {
    webhook.finding(Severity::High, "the repository was made public".into(), None)
}

fn rewritten_history(webhook: &Webhook) -> Option<Finding> {
    if !webhook.forced {
        return None;
    }
    let branch = webhook.r#ref.as_deref()?.trim_start_matches("refs/heads/");
    webhook.finding(Severity::Low, format!("history of {branch} was rewritten"), webhook.compare.as_ref())
}

impl Webhook {
    /// Where the webhook has no page of its own, the repository's is shown.
    fn finding(&self, severity: Severity, what: String, url: Option<&String>) -> Option<Finding> {
        let repository = self.repository.as_ref()?;
        Some(Finding {
            severity,
            title: format!("{}: {what}", repository.full_name),
            url: url.unwrap_or(&repository.html_url).clone(),
        })
    }
}

impl Severity {
    /// What we don't know is not waved through as harmless.
    fn parse(text: &str) -> Self {
        match text {
            "low" | "note" | "none" => Severity::Low,
            "high" | "error" => Severity::High,
            "critical" => Severity::Critical,
            _ => Severity::Medium,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

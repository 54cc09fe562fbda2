//! Reports over a time, as JSON or CSV.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings_core::limits;

use super::access::Who;
use super::csv::Table;
use super::items::time;
use super::live::ANSWER_WITHIN_MS;
use crate::api::Api;
use crate::api::extract::{Asked, Named, page};
use crate::api::problem::Problem;
use crate::desk::records::Part;
use crate::desk::records::reports::{self, After, AgentReport, Ratings, Span, TeamReport, ratio};

/// The time that a report is about, unless the call says something else.
const PERIOD_MS: i64 = 30 * 24 * 3_600_000;

const AGENTS: &[&str] = &[
    "agent",
    "conversations",
    "answered",
    "customer_messages",
    "agent_messages",
    "first_answer_ms_mean",
    "handle_ms_mean",
    "closed",
    "transferred_away",
    "rated",
    "stars_mean",
    "satisfied",
    "response_rate",
    "online_ms",
    "not_taking_ms",
];
const TEAMS: &[&str] = &[
    "team",
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "abandonment",
    "answered_within",
    "service_level",
    "wait_ms_mean",
    "wait_ms_p50",
    "wait_ms_p90",
    "wait_ms_p95",
    "first_answer_ms_mean",
    "handle_ms_mean",
    "transferred_in",
    "rated",
    "stars_mean",
    "satisfied",
    "response_rate",
];
const CONVERSATIONS: &[&str] = &[
    "episode",
    "part",
    "customer",
    "team",
    "agent",
    "how",
    "opened_ms",
    "began_ms",
    "ended_ms",
    "closed_by",
    "waited_ms",
    "first_answer_ms",
    "customer_messages",
    "agent_messages",
    "stars",
];
const RATINGS: &[&str] = &[
    "episode", "customer", "team", "agent", "began_ms", "ended_ms", "stars", "text",
];

/// About what, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    from: Option<i64>,
    to: Option<i64>,
    format: Option<String>,
    bom: Option<bool>,
    answer_within_ms: Option<u64>,
    after: Option<String>,
    limit: Option<usize>,
}

/// A share, to four digits.
fn share(share: Option<f64>) -> Value {
    json!(share.map(|share| (share * 1e4).round() / 1e4))
}

/// How often, how well, and of how many.
fn rating_cells(ratings: Ratings, of: u64) -> Vec<Value> {
    vec![
        json!(ratings.rated),
        share(ratings.mean()),
        share(ratings.satisfied()),
        share(ratio(ratings.rated, of)),
    ]
}

fn agent_row(agent: &str, report: &AgentReport) -> Vec<Value> {
    let mut row = vec![
        json!(agent),
        json!(report.conversations),
        json!(report.answered),
        json!(report.customer_messages),
        json!(report.agent_messages),
        json!(report.first_answer.value()),
        json!(report.handle.value()),
        json!(report.closed),
        json!(report.transferred_away),
    ];
    row.extend(rating_cells(report.ratings, report.conversations));
    row.extend([json!(report.online_ms), json!(report.not_taking_ms)]);
    row
}

fn team_row(team: &str, report: &TeamReport) -> Vec<Value> {
    let mut row = vec![
        json!(team),
        json!(report.offered),
        json!(report.answered),
        json!(report.abandoned),
        json!(report.short_abandoned),
        share(ratio(report.abandoned, report.offered)),
        json!(report.in_target),
        share(report.service_level()),
        json!(report.wait.value()),
        json!(report.wait_percentile(50)),
        json!(report.wait_percentile(90)),
        json!(report.wait_percentile(95)),
        json!(report.first_answer.value()),
        json!(report.handle.value()),
        json!(report.transferred_in),
    ];
    row.extend(rating_cells(report.ratings, report.answered));
    row
}

/// A team's figures of a time, without its name.
pub(super) fn team_figures(report: &TeamReport) -> Value {
    let names = TEAMS.iter().skip(1).map(|name| (*name).to_owned());
    let cells = team_row("", report).into_iter().skip(1);
    Value::Object(names.zip(cells).collect::<Map<_, _>>())
}

fn conversation_row(part: &Part) -> Vec<Value> {
    vec![
        json!(part.episode),
        json!(part.part),
        json!(part.customer),
        json!(part.team),
        json!(part.agent),
        json!(part.how),
        json!(part.opened_ms),
        json!(part.began_ms),
        json!(part.ended_ms),
        json!(part.closed_by()),
        json!(part.waited_ms),
        json!(part.first_answer_ms),
        json!(part.customer_messages),
        json!(part.agent_messages),
        json!(part.stars),
    ]
}

fn rating_row(part: &Part) -> Vec<Value> {
    vec![
        json!(part.episode),
        json!(part.customer),
        json!(part.team),
        json!(part.agent),
        json!(part.began_ms),
        json!(part.ended_ms),
        json!(part.stars),
        json!(part.suggest),
    ]
}

fn span(about: &About, now_ms: i64) -> Result<Span, Problem> {
    let to_ms = about.to.unwrap_or(now_ms);
    let from_ms = about
        .from
        .unwrap_or_else(|| to_ms.saturating_sub(PERIOD_MS));
    let (length, max) = (to_ms.saturating_sub(from_ms), limits::DESK_REPORT_MS_MAX);
    if length < 0 {
        let detail = "`from` lies before `to`";
        return Err(Problem::unprocessable(detail)
            .field("from")
            .with("value", from_ms));
    }
    if length > max {
        let detail = format!("a report spans at most {max} ms, a year");
        return Err(Problem::unprocessable(detail)
            .field("from")
            .limit(max, length));
    }
    Ok(Span { from_ms, to_ms })
}

fn after(text: &str) -> Result<After, Problem> {
    let read = || {
        let mut parts = text.splitn(3, '.');
        Some(After {
            began_ms: parts.next()?.parse().ok()?,
            episode: parts.next()?.parse().ok()?,
            part: parts.next()?.parse().ok()?,
        })
    };
    read().ok_or_else(|| {
        let detail = "`after` is the `next` of the page before";
        Problem::unprocessable(detail)
            .field("after")
            .with("value", text)
    })
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, report)): Named<(String, String)>,
    Asked(about): Asked<About>,
) -> Result<Response, Problem> {
    who.supervises(&api.desks.directory().roster(), &tenant)?;
    let csv = match about.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => {
            let detail = "a report is json or csv";
            return Err(Problem::unprocessable(detail)
                .field("format")
                .with("value", other));
        }
    };
    let span = span(&about, api.desks.wall_ms())?;
    let (table, next) = table(&api, &tenant, &report, span, &about).await?;
    if !csv {
        let (from_ms, to_ms) = (span.from_ms, span.to_ms);
        let body = json!({
            "from_ms": from_ms, "to_ms": to_ms, "rows": table.json(), "next": next,
        });
        return Ok(Json(body).into_response());
    }
    let file = format!("attachment; filename=\"{tenant}-{report}.csv\"");
    let mut response = table.csv(about.bom == Some(true)).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        headers.insert("next-after", next);
    }
    Ok(response)
}

/// The report, and where its next page begins.
async fn table(
    api: &Api,
    tenant: &str,
    report: &str,
    span: Span,
    about: &About,
) -> Result<(Table, Option<String>), Problem> {
    let tenant = tenant.to_owned();
    let is_list = matches!(report, "conversations" | "ratings");
    if !is_list && (about.after.is_some() || about.limit.is_some()) {
        let detail = "only the reports of conversations and ratings have pages";
        return Err(Problem::unprocessable(detail).field("after"));
    }
    let (names, rows) = match report {
        "agents" => {
            let read = move |db: &rusqlite::Connection| reports::agents(db, &tenant, span);
            let found = api.desks.read(read).await?;
            (
                AGENTS,
                found
                    .iter()
                    .map(|(name, report)| agent_row(name, report))
                    .collect(),
            )
        }
        "teams" => {
            let within_ms = about.answer_within_ms.unwrap_or(ANSWER_WITHIN_MS);
            time("answer_within_ms", within_ms)?;
            let target_ms = i64::try_from(within_ms).unwrap_or(i64::MAX);
            let found = api
                .desks
                .read(move |db| reports::teams(db, &tenant, span, target_ms))
                .await?;
            (
                TEAMS,
                found
                    .iter()
                    .map(|(name, report)| team_row(name, report))
                    .collect(),
            )
        }
        "conversations" | "ratings" => {
            let rated = report == "ratings";
            let max = limits::DESK_REPORT_ROWS_MAX;
            let limit = page(about.limit.or(Some(max)), max)?;
            let after = about.after.as_deref().map(after).transpose()?;
            let read = move |db: &rusqlite::Connection| {
                reports::page(db, &tenant, span, rated, after, limit)
            };
            let found = api.desks.read(read).await?;
            let last = found.last().filter(|_| found.len() == limit);
            let next = last.map(|p| format!("{}.{}.{}", p.began_ms, p.episode, p.part));
            let (names, row): (_, fn(&Part) -> Vec<Value>) = match rated {
                true => (RATINGS, rating_row),
                false => (CONVERSATIONS, conversation_row),
            };
            let rows = found.iter().map(row).collect();
            return Ok((Table { names, rows }, next));
        }
        other => {
            let detail = "a report is of agents, teams, conversations or ratings";
            return Err(Problem::not_found(detail)
                .field("report")
                .with("value", other));
        }
    };
    Ok((Table { names, rows }, None))
}

//! What is done to a conversation in the name of an agent.
//!
//! The desk decides as if the agent had asked in his own session. Writing and taking over need such
//! a session: whoever gets a customer must be there. Supervisors close and transfer without one.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::desk::{EpisodeId, Refusal};
use tidings_core::ids::check_message_id;
use tidings_core::wire::code;

use super::access::Who;
use super::agent::remember;
use super::conversations::no_episode;
use super::live;
use crate::api::Api;
use crate::api::access::Caller;
use crate::api::extract::{Input, Maybe, Named};
use crate::api::idempotency::Key;
use crate::api::problem::Problem;
use crate::desk::directory::TenantRoster;
use crate::desk::{Act, AgentRef, Chat, DeskError, TransferTo, records};
use crate::handle::new_id;

/// As whom.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct As {
    #[serde(default, rename = "as")]
    agent: Option<String>,
}

/// Does it; whether there is such an episode at all is looked up only if it is not open.
async fn act(api: &Api, agent: &AgentRef, episode: u64, act: Act) -> Result<(), Problem> {
    match api.desks.act(agent, act).await {
        Err(DeskError::Refused(Refusal::NoEpisode)) => {
            let tenant = agent.tenant().to_string();
            let was = api
                .desks
                .read(move |db| records::parts(db, &tenant, episode))
                .await?;
            match was.is_empty() {
                true => Err(no_episode(episode)),
                false => Err(Refusal::NoEpisode.into()),
            }
        }
        done => Ok(done?),
    }
}

/// The conversation after it: null if it has ended.
async fn after(api: &Api, tenant: &str, episode: u64) -> Result<Json<Value>, Problem> {
    let chat = api.desks.open_chat(tenant, episode).await?;
    let chat = chat.as_ref().map_or(Value::Null, live::show);
    Ok(Json(json!({ "episode": episode, "live": chat })))
}

pub(super) async fn take_over(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, episode)): Named<(String, u64)>,
    Maybe(body): Maybe<As>,
) -> Result<Json<Value>, Problem> {
    let agent = who.acting(&api, &tenant, body.agent.as_deref())?;
    act(&api, &agent, episode, Act::TakeOver(EpisodeId(episode))).await?;
    note_down(&api, &who, &agent, "take over", episode).await?;
    after(&api, &tenant, episode).await
}

pub(super) async fn close(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, episode)): Named<(String, u64)>,
    Maybe(body): Maybe<As>,
) -> Result<Json<Value>, Problem> {
    let agent = who.acting(&api, &tenant, body.agent.as_deref())?;
    let chat = Chat::Episode(EpisodeId(episode));
    act(&api, &agent, episode, Act::Close(chat)).await?;
    note_down(&api, &who, &agent, "close", episode).await?;
    after(&api, &tenant, episode).await
}

async fn note_down(
    api: &Api,
    who: &Who,
    agent: &AgentRef,
    what: &'static str,
    episode: u64,
) -> Result<(), Problem> {
    let by = who.entry_as(api, agent.account());
    remember(api, agent.tenant(), by, what, &episode.to_string()).await
}

/// To whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    #[serde(default, rename = "as")]
    agent: Option<String>,
    #[serde(default)]
    to_agent: Option<String>,
    #[serde(default)]
    to_team: Option<String>,
    #[serde(default)]
    skills: Vec<String>,
    #[serde(default)]
    note: String,
}

impl Transfer {
    fn target(&self, roster: &TenantRoster) -> Result<TransferTo, Problem> {
        let unknown = |field: &str, name: &str| {
            let detail = format!("there is no `{name}` of this tenant");
            Problem::unprocessable(detail)
                .field(field)
                .with("value", name)
        };
        match (&self.to_agent, &self.to_team) {
            (Some(agent), None) => {
                if !self.skills.is_empty() {
                    let detail = "`skills` go with `to_team`";
                    return Err(Problem::unprocessable(detail).field("skills"));
                }
                if !roster.agents.contains_key(&**agent) {
                    return Err(unknown("to_agent", agent));
                }
                Ok(TransferTo::Agent(agent.clone()))
            }
            (None, Some(team)) => {
                if !roster.teams.contains_key(&**team) {
                    return Err(unknown("to_team", team));
                }
                let mut skills = self.skills.iter();
                if let Some(skill) = skills.find(|s| !roster.skills.contains_key(&***s)) {
                    return Err(unknown("skills", skill));
                }
                Ok(TransferTo::Team(team.clone(), self.skills.clone()))
            }
            _ => {
                let detail = "say `to_agent` or `to_team`, one of them";
                Err(Problem::unprocessable(detail).field("to_agent"))
            }
        }
    }
}

pub(super) async fn transfer(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, episode)): Named<(String, u64)>,
    input: Input<Transfer>,
) -> Result<Json<Value>, Problem> {
    let body = input.value;
    let agent = who.acting(&api, &tenant, body.agent.as_deref())?;
    let to = body.target(who.belongs(&api.desks.directory().roster(), &tenant)?)?;
    let transfer = Act::Transfer {
        chat: Chat::Episode(EpisodeId(episode)),
        to,
        note: body.note,
    };
    act(&api, &agent, episode, transfer).await?;
    note_down(&api, &who, &agent, "transfer", episode).await?;
    after(&api, &tenant, episode).await
}

/// What is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    #[serde(default, rename = "as")]
    agent: Option<String>,
    text: String,
    /// The author's own; made from the Idempotency-Key, or new, if it is missing.
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "type")]
    typeu: Option<i32>,
}

pub(super) async fn message(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Extension(caller): Extension<Caller>,
    Named((tenant, episode)): Named<(String, u64)>,
    headers: HeaderMap,
    input: Input<Text>,
) -> Result<Response, Problem> {
    let typeu = input.value.typeu.unwrap_or(-1);
    let content = code::DESK_IMAGE..=code::DESK_ROBOT;
    if (400..500).contains(&typeu) && !content.contains(&typeu) {
        let detail = "this type is the desk's own";
        return Err(Problem::unprocessable(detail)
            .field("type")
            .with("value", typeu));
    }
    let agent = who.acting(&api, &tenant, input.value.agent.as_deref())?;
    say(
        &api,
        &agent,
        episode,
        Key::read(&headers, caller)?,
        input.value,
        false,
    )
    .await
}

pub(super) async fn note(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Extension(caller): Extension<Caller>,
    Named((tenant, episode)): Named<(String, u64)>,
    headers: HeaderMap,
    input: Input<Text>,
) -> Result<Response, Problem> {
    if input.value.typeu.is_some() {
        return Err(Problem::unprocessable("a note has no type").field("type"));
    }
    let agent = who.acting(&api, &tenant, input.value.agent.as_deref())?;
    say(
        &api,
        &agent,
        episode,
        Key::read(&headers, caller)?,
        input.value,
        true,
    )
    .await
}

async fn say(
    api: &Api,
    agent: &AgentRef,
    episode: u64,
    key: Option<Key>,
    body: Text,
    internal: bool,
) -> Result<Response, Problem> {
    let made = || {
        key.map_or_else(new_id, |key| key.message_id(&episode.to_string()))
            .to_string()
    };
    let id = body.id.unwrap_or_else(made);
    check_message_id(&id).map_err(|problem| Problem::name("id", &id, problem))?;
    let say = Act::Say {
        chat: Chat::Episode(EpisodeId(episode)),
        id: id.clone(),
        typeu: body.typeu.unwrap_or(-1),
        text: body.text,
        internal,
    };
    act(api, agent, episode, say).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

/// Which message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default, rename = "as")]
    agent: Option<String>,
    id: String,
}

pub(super) async fn recall(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, episode)): Named<(String, u64)>,
    input: Input<Which>,
) -> Result<StatusCode, Problem> {
    let agent = who.acting(&api, &tenant, input.value.agent.as_deref())?;
    let recall = Act::Recall {
        chat: Chat::Episode(EpisodeId(episode)),
        id: input.value.id,
    };
    act(&api, &agent, episode, recall).await?;
    note_down(&api, &who, &agent, "recall", episode).await?;
    Ok(StatusCode::NO_CONTENT)
}

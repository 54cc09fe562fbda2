//! From what an operator set to what the machine takes.

use std::sync::Arc;

use tidings_core::desk::{AgentId, AgentSettings, Desk, Event, Membership, Skills, TeamId};
use tidings_core::ids::Name;

use super::directory::{Agent, TenantRoster};

/// The numbers of skills; those that are not there are left out.
pub(crate) fn skills(roster: &TenantRoster, names: &[String]) -> Skills {
    let known = names.iter().filter_map(|name| roster.skills.get(&**name));
    known.fold(Skills::NONE, |all, skill| {
        all.and(Skills::one(u8::try_from(skill.number).unwrap_or(0)))
    })
}

fn agent_settings(roster: &TenantRoster, agent: &Agent) -> AgentSettings {
    let teams = agent.teams.iter().filter_map(|member| {
        Some(Membership {
            team: TeamId(roster.teams.get(&*member.team)?.number),
            capacity: member.capacity.unwrap_or(agent.capacity),
        })
    });
    AgentSettings {
        teams: teams.collect(),
        skills: skills(roster, &agent.skills),
        capacity: agent.capacity,
        mode: agent.mode,
        supervisor: agent.supervisor,
        greeting: !agent.greeting.is_empty(),
    }
}

/// What must be told to a machine so that it knows what is set.
pub(super) fn changes(desk: &Desk, roster: &TenantRoster) -> Vec<Event> {
    let mut events = Vec::new();
    if *desk.settings() != roster.tenant.settings {
        events.push(Event::Settings(roster.tenant.settings.clone()));
    }
    for team in roster.teams.values() {
        let mut settings = team.item.settings.clone();
        settings.greeting = !team.item.greeting.is_empty();
        if desk.team(TeamId(team.number)) != Some(&settings) {
            events.push(Event::Team(TeamId(team.number), settings));
        }
    }
    for agent in roster.agents.values() {
        let settings = agent_settings(roster, &agent.item);
        let known = desk.agent(AgentId(agent.number));
        if known.is_none_or(|known| *known.settings != settings) {
            events.push(Event::Agent(AgentId(agent.number), settings));
        }
    }
    let gone = desk.agents().map(|known| known.agent);
    let gone = gone.filter(|agent| roster.agent(agent.0).is_none());
    events.extend(gone.map(Event::RemoveAgent));
    events
}

/// A tenant's default team, if it has one.
pub(super) fn default_team<'r>(
    (tenant, of): (&'r Name, &'r Arc<TenantRoster>),
) -> Option<(&'r Name, &'r Arc<TenantRoster>, String)> {
    let team = of.tenant.default_team.clone()?;
    of.teams.contains_key(&*team).then_some((tenant, of, team))
}

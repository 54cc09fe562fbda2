//! Stories of left messages, and of agents who vanish: what a customer wrote is somebody's work.

use super::*;

fn team_open(open: bool) -> Event {
    Event::TeamOpen(TeamId(0), open)
}

fn stage(bench: &Bench, customer: u64) -> Option<Stage> {
    bench.desk.stage(bench.episode(customer))
}

#[test]
fn b15_outside_hours_a_text_is_a_left_message_and_assigned_when_the_team_opens() {
    let mut bench = open(TeamSettings::default());
    bench.step(team_open(false));
    let told = bench.arrive(1, wanted(0), 1);
    assert_eq!(told, [Action::Left(EpisodeId(1))]);
    assert_eq!(stage(&bench, 1), Some(Stage::Left));
    bench.arrive(2, wanted(0), 1);
    assert!(bench.arrive(1, wanted(0), 2).is_empty(), "he was told");
    // Hours later he has no session any more.
    for conversation in [1, 2].map(ConversationId) {
        let live = false;
        bench.step(Event::CustomerLink { conversation, live });
    }
    bench.pass(12 * 3_600_000);
    bench.online(1, agent(0, 1, Skills::NONE));
    assert_eq!((bench.owner(1), bench.desk.waiting(TeamId(0))), (None, 0));
    let told = bench.step(team_open(true));
    assert_eq!(told[..2], [1, 2].map(|id| Action::Finding(EpisodeId(id))));
    let (episode, agent) = (EpisodeId(1), AgentId(1));
    assert!(told.contains(&Action::HandOver {
        episode,
        agent,
        from_seq: 1,
        to_seq: 2
    }));
    // In order of age; and nobody who is away is taken for somebody who has left.
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), None));
    bench.step(says(1, episode, 3));
    bench.pass(600_000);
    bench.step(Event::Close(agent, episode));
    assert_eq!(bench.owner(2), Some(1));
}

#[test]
fn b15_a_left_message_is_found_and_taken_before_the_team_opens() {
    let mut bench = open(TeamSettings::default());
    bench.step(team_open(false));
    bench.arrive(1, wanted(0), 1);
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.step(Event::Pull(AgentId(1), None));
    assert_eq!(bench.owner(1), Some(1));
}

#[test]
fn b15_a_text_to_a_team_that_nobody_serves_waits_for_somebody_who_does() {
    let mut bench = open(TeamSettings::default());
    bench.team(1, TeamSettings::default());
    let told = bench.arrive(1, wanted(1), 1);
    assert_eq!(told, [Action::Left(EpisodeId(1))]);
    bench.online(1, agent(1, 1, Skills::NONE));
    assert_eq!(bench.owner(1), Some(1));
    // He was the only one.
    let told = bench.step(Event::RemoveAgent(AgentId(1)));
    assert!(told.contains(&Action::Left(EpisodeId(1))), "{told:?}");
    assert_eq!(stage(&bench, 1), Some(Stage::Left));
}

#[test]
fn b15_who_waits_when_the_last_agent_goes_home_has_left_a_message() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    bench.arrive(2, wanted(0), 1);
    // Somebody is still there.
    bench.step(team_open(false));
    assert_eq!(stage(&bench, 2), Some(Stage::Queued));
    let told = bench.step(Event::SetStatus {
        agent: AgentId(1),
        status: AgentStatus::Offline,
        hand_over: true,
    });
    assert!(told.contains(&Action::Left(EpisodeId(2))), "{told:?}");
    assert!(told.contains(&Action::Left(EpisodeId(1))), "{told:?}");
    assert_eq!(stage(&bench, 2), Some(Stage::Left));
}

#[test]
fn b15_a_message_that_is_left_on_request_waits_behind_those_who_are_there() {
    let mut bench = open(TeamSettings::default());
    let leave = || Event::LeaveMessage(ConversationId(1));
    bench.arrive(1, wanted(0), 1);
    bench.arrive(2, wanted(0), 1);
    assert_eq!(bench.step(leave()), [Action::Left(EpisodeId(1))]);
    let refused = Action::Refuse(Asker::Customer(ConversationId(1)), Refusal::Already);
    assert_eq!(bench.step(leave()), [refused]);
    bench.online(1, agent(0, 1, Skills::NONE));
    assert_eq!((bench.owner(1), bench.owner(2)), (None, Some(1)));
    bench.step(Event::Close(AgentId(1), bench.episode(2)));
    assert_eq!(bench.owner(1), Some(1));
}

#[test]
fn b15_who_writes_again_stands_where_his_age_puts_him() {
    let mut bench = open(TeamSettings::default());
    bench.arrive(1, wanted(0), 1);
    bench.arrive(2, wanted(0), 1);
    bench.step(Event::LeaveMessage(ConversationId(1)));
    let told = bench.arrive(1, wanted(0), 2);
    assert!(told.contains(&Action::Finding(EpisodeId(1))), "{told:?}");
    bench.online(1, agent(0, 1, Skills::NONE));
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), None));
}

#[test]
fn b35_what_no_agent_was_sent_is_not_ended_by_time() {
    let mut bench = open(TeamSettings {
        answer_ms: None,
        answer_warn_ms: None,
        customer_grace_ms: Some(0),
        ..TeamSettings::default()
    });
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    // His agent has no session when he writes, and then he has none either.
    bench.step(Event::AgentLost(AgentId(1)));
    bench.arrive(1, wanted(0), 3);
    bench.step(Event::CustomerLink {
        conversation: ConversationId(1),
        live: false,
    });
    bench.pass(24 * 3_600_000);
    assert_eq!(stage(&bench, 1), Some(Stage::Queued));
    let told = {
        bench.step(Event::Agent(AgentId(2), agent(0, 1, Skills::NONE)));
        bench.step(Event::Bind(AgentId(2), AgentStatus::Online))
    };
    let agent = AgentId(2);
    assert!(told.contains(&Action::HandOver {
        episode,
        agent,
        from_seq: 1,
        to_seq: 3
    }));
}

#[test]
fn b35_who_closes_for_an_agent_who_is_away_gets_what_nobody_has() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let (episode, boss) = (bench.episode(1), AgentId(9));
    let mut settings = agent(0, 1, Skills::NONE);
    settings.supervisor = true;
    bench.step(Event::Agent(boss, settings));
    bench.step(Event::Bind(boss, AgentStatus::Busy));
    bench.step(Event::AgentLost(AgentId(1)));
    bench.arrive(1, wanted(0), 2);
    let told = bench.step(Event::Close(boss, episode));
    let handed = Action::HandOver {
        episode,
        agent: boss,
        from_seq: 1,
        to_seq: 2,
    };
    assert_eq!(told[0], handed);
}

#[test]
fn p15_customers_of_an_agent_who_vanishes_are_told_and_queued_at_the_head() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let (episode, agent) = (bench.episode(1), AgentId(1));
    bench.step(says(1, episode, 2));
    // A page that is loaded again: nobody is told anything.
    bench.step(Event::AgentLost(agent));
    assert!(bench.pass(limits::AGENT_AWAY_MS - 1).is_empty());
    assert!(
        bench
            .step(Event::Bind(agent, AgentStatus::Online))
            .is_empty()
    );
    bench.step(Event::AgentLost(agent));
    let told = bench.pass(limits::AGENT_AWAY_MS);
    assert_eq!(told, [Action::AgentAway(episode, agent)]);
    let told = bench.step(Event::Bind(agent, AgentStatus::Online));
    assert_eq!(told, [Action::AgentBack(episode, agent)]);
    bench.step(Event::AgentLost(agent));
    bench.arrive(2, wanted(0), 1);
    let told = bench.pass(60_000);
    assert!(told.contains(&Action::AgentAway(episode, agent)));
    assert!(told.contains(&Action::Waiting(episode, Requeue::AgentLost)));
    bench.online(2, super::agent(0, 1, Skills::NONE));
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(2), None));
}

#[test]
fn h4_of_ended_episodes_only_so_many_are_kept() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    for customer in 0..=limits::DESK_ENDED_MAX as u64 {
        let conversation = ConversationId(customer);
        let arrive = Event::Arrive {
            conversation,
            wanted: wanted(0),
            seq: 1,
        };
        let mut actions = Vec::new();
        bench.desk.step(Time(bench.now), arrive, &mut actions);
        let leave = Event::CustomerLeaves(conversation);
        bench.desk.step(Time(bench.now), leave, &mut actions);
    }
    assert_eq!(bench.desk.state.ended.len(), limits::DESK_ENDED_MAX);
    assert_eq!(bench.desk.ended(EpisodeId(1)), None);
    assert!(bench.desk.ended(EpisodeId(2)).is_some());
}

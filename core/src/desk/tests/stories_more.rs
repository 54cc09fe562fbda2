//! Stories of everything around assignment: one behaviour each.

use super::*;

#[test]
fn a_pull_may_exceed_capacity_and_nothing_more_is_assigned() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    for customer in 1..=3 {
        bench.arrive(customer, wanted(0), 1);
    }
    bench.step(Event::SetStatus {
        agent: AgentId(1),
        status: AgentStatus::Busy,
        hand_over: false,
    });
    bench.step(Event::Pull(AgentId(1), None));
    assert_eq!((bench.owner(2), bench.owner(3)), (Some(1), None));
    bench.step(Event::Bind(AgentId(1), AgentStatus::Online));
    bench.step(Event::Close(AgentId(1), bench.episode(1)));
    assert_eq!(bench.owner(3), None);
    bench.step(Event::Close(AgentId(1), bench.episode(2)));
    assert_eq!(bench.owner(3), Some(1));
    let empty = bench.step(Event::Pull(AgentId(1), None));
    assert_eq!(
        empty,
        [Action::Refuse(
            Asker::Agent(AgentId(1)),
            Refusal::QueueEmpty
        )]
    );
}

#[test]
fn a_supervisor_watches_whispers_joins_and_takes_over() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let (episode, boss) = (bench.episode(1), AgentId(9));
    let mut settings = agent(0, 1, Skills::NONE);
    settings.supervisor = true;
    bench.step(Event::Agent(boss, settings));
    bench.step(Event::Bind(boss, AgentStatus::Busy));
    let refused = bench.step(Event::Supervise(
        AgentId(1),
        episode,
        Some(Supervision::Watch),
    ));
    assert_eq!(
        refused,
        [Action::Refuse(
            Asker::Agent(AgentId(1)),
            Refusal::NotSupervisor
        )]
    );
    let told = bench.step(Event::Supervise(boss, episode, Some(Supervision::Watch)));
    assert!(told.contains(&Action::HandOver {
        episode,
        agent: boss,
        from_seq: 1,
        to_seq: 1
    }));
    let to_boss = Action::Route {
        episode,
        to: Party::Agent(boss),
        seq: 2,
    };
    assert!(bench.arrive(1, wanted(0), 2).contains(&to_boss));
    let whisper = Event::AgentSays {
        agent: boss,
        episode,
        seq: 3,
        internal: true,
    };
    let refused = Action::Refuse(Asker::Agent(boss), Refusal::NotYours);
    assert_eq!(bench.step(whisper.clone())[0], refused);
    bench.step(Event::Supervise(boss, episode, Some(Supervision::Whisper)));
    let to_agent = Action::Route {
        episode,
        to: Party::Agent(AgentId(1)),
        seq: 3,
    };
    assert_eq!(
        bench.step(whisper),
        [to_agent],
        "the customer does not see it"
    );
    assert_eq!(bench.step(says(9, episode, 4)), [refused]);
    bench.step(Event::Supervise(boss, episode, Some(Supervision::Join)));
    let to_customer = Action::Route {
        episode,
        to: Party::Customer,
        seq: 4,
    };
    assert!(bench.step(says(9, episode, 4)).contains(&to_customer));
    bench.step(Event::TakeOver(boss, episode));
    assert_eq!(bench.owner(1), Some(9));
}

#[test]
fn hold_counts_a_quarter_and_a_wrap_up_a_whole_slot() {
    let settings = TeamSettings {
        wrap_up_ms: 30_000,
        answer_ms: None,
        ..TeamSettings::default()
    };
    let mut bench = open(settings);
    bench.online(1, agent(0, 2, Skills::NONE));
    for customer in 1..=4 {
        bench.arrive(customer, wanted(0), 1);
    }
    assert_eq!((bench.owner(2), bench.owner(3)), (Some(1), None));
    bench.step(Event::Hold(AgentId(1), bench.episode(1)));
    assert_eq!(bench.owner(3), None, "1.25 of 2 slots");
    bench.step(Event::Hold(AgentId(1), bench.episode(2)));
    assert_eq!(
        (bench.owner(3), bench.owner(4)),
        (Some(1), None),
        "1.5 of 2"
    );
    let third = bench.episode(3);
    bench.step(Event::Close(AgentId(1), third));
    bench.pass(29_000);
    assert_eq!(bench.owner(4), None);
    bench.step(Event::WrapUpDone(AgentId(1), third));
    assert_eq!(bench.owner(4), Some(1));
    // His message takes the customer off hold.
    bench.arrive(1, wanted(0), 2);
    assert!(matches!(
        bench.desk.stage(bench.episode(1)),
        Some(Stage::Active { .. })
    ));
}

#[test]
fn silence_holds_warns_and_closes() {
    let mut bench = open(TeamSettings {
        answer_ms: None,
        ..TeamSettings::default()
    });
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    bench.pass(10 * 60_000);
    assert!(matches!(
        bench.desk.stage(episode),
        Some(Stage::Held { .. })
    ));
    assert_eq!(bench.pass(15 * 60_000), [Action::WarnCustomer(episode)]);
    let told = bench.pass(5 * 60_000);
    let closed = Action::Closed(episode, Some(AgentId(1)), Ending::Idle);
    assert_eq!(told, [closed, Action::AskRating(episode)]);
}

#[test]
fn rings_waive_skills_and_join_the_overflow_team() {
    let rings = vec![
        Ring {
            after_ms: 10_000,
            waive: ZH,
            join: None,
        },
        Ring {
            after_ms: 20_000,
            waive: Skills::NONE,
            join: Some(TeamId(1)),
        },
    ];
    let settings = TeamSettings {
        rings,
        ..TeamSettings::default()
    };
    let mut bench = open(settings);
    bench.team(1, TeamSettings::default());
    bench.online(1, agent(0, 1, EN));
    bench.online(2, agent(1, 1, Skills::NONE));
    bench.arrive(
        1,
        Wanted {
            skills: ZH,
            ..wanted(0)
        },
        1,
    );
    bench.arrive(
        2,
        Wanted {
            skills: EN,
            ..wanted(0)
        },
        1,
    );
    assert_eq!((bench.owner(1), bench.owner(2)), (None, Some(1)));
    bench.step(Event::Close(AgentId(1), bench.episode(2)));
    bench.pass(9_900);
    assert_eq!(bench.owner(1), None);
    bench.pass(200);
    assert_eq!(bench.owner(1), Some(1));
    bench.arrive(3, wanted(0), 1);
    bench.pass(20_000);
    assert_eq!(bench.owner(3), Some(2));
}

#[test]
fn places_are_told_when_they_change_and_the_wait_when_it_is_known() {
    let mut bench = open(TeamSettings {
        answer_ms: None,
        ..TeamSettings::default()
    });
    bench.online(1, agent(0, 1, Skills::NONE));
    let place = |episode, position, wait_ms| Action::Position {
        episode: EpisodeId(episode),
        position,
        wait_ms,
    };
    bench.arrive(1, wanted(0), 1);
    for customer in 2..=4 {
        let told = bench.arrive(customer, wanted(0), 1);
        assert!(told.contains(&place(customer, customer - 1, None)));
    }
    bench.step(Event::CustomerLeaves(ConversationId(2)));
    assert_eq!(bench.pass(1_000), [place(3, 1, None), place(4, 2, None)]);
    // A priority stands before the others.
    let told = bench.arrive(
        5,
        Wanted {
            priority: 1,
            ..wanted(0)
        },
        1,
    );
    assert!(told.contains(&place(5, 1, None)));
    for customer in 100..130 {
        bench.arrive(customer, wanted(0), 1);
        bench.now += 10_000;
        let first = bench.desk.serves(AgentId(1))[0];
        bench.step(Event::Close(AgentId(1), first));
    }
    let told = bench.arrive(200, wanted(0), 1);
    let known = told.iter().find_map(|action| match action {
        Action::Position {
            wait_ms, position, ..
        } => Some((*position, *wait_ms)),
        _ => None,
    });
    let (position, wait_ms) = known.unwrap();
    let expected_ms = position * 10_000;
    assert!(
        wait_ms.is_some_and(|ms| ms.abs_diff(expected_ms) < expected_ms / 5),
        "{known:?}"
    );
}

#[test]
fn a_long_queue_is_told_in_portions_that_agree() {
    let mut bench = open(TeamSettings {
        customer_grace_ms: None,
        ..TeamSettings::default()
    });
    for customer in 1..=500 {
        bench.arrive(customer, wanted(0), 1);
    }
    bench.step(Event::CustomerLeaves(ConversationId(1)));
    let told = bench.pass(5_000);
    let places: Vec<_> = told
        .iter()
        .filter_map(|action| match action {
            Action::Position {
                episode, position, ..
            } => Some((episode.0, *position)),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = (2..=500).map(|episode| (episode, episode - 1)).collect();
    assert_eq!(places, expected);
}

#[test]
fn an_ended_episode_is_rated_within_its_time() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    let rate = |stars| Event::Rate {
        conversation: ConversationId(1),
        episode,
        stars,
        text: "".into(),
    };
    let refused = |why| [Action::Refuse(Asker::Customer(ConversationId(1)), why)];
    assert_eq!(bench.step(rate(5)), refused(Refusal::NoEpisode));
    bench.step(Event::CustomerLeaves(ConversationId(1)));
    assert_eq!(bench.step(rate(6)), refused(Refusal::BadRating));
    bench.step(rate(5));
    bench.step(rate(4));
    assert_eq!(
        bench.desk.ended(episode),
        Some((Ending::ByCustomer, Some(4)))
    );
    bench.now += 24 * 3_600_000;
    assert_eq!(bench.step(rate(1)), refused(Refusal::TooLate));
}

#[test]
fn a_message_is_recalled_by_its_author_once_and_in_time() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    let at = Time(bench.now);
    let recall = |by, written| Event::Recall {
        by,
        episode,
        seq: 2,
        written,
    };
    let (author, other) = (Party::Agent(AgentId(1)), Party::Agent(AgentId(2)));
    let refused = |agent, why| [Action::Refuse(Asker::Agent(AgentId(agent)), why)];
    let foreign = bench.step(recall(other, Some((author, at))));
    assert_eq!(foreign, refused(2, Refusal::NotYourMessage));
    assert_eq!(
        bench.step(recall(author, None)),
        refused(1, Refusal::NotYourMessage)
    );
    let told = bench.step(recall(author, Some((author, at))));
    assert_eq!(told, [Action::Recalled(episode, 2)]);
    assert_eq!(
        bench.step(recall(author, Some((author, at)))),
        refused(1, Refusal::Already)
    );
    bench.now += 121_000;
    let late = Event::Recall {
        by: author,
        episode,
        seq: 1,
        written: Some((author, at)),
    };
    assert_eq!(bench.step(late), refused(1, Refusal::TooLate));
}

#[test]
fn a_customer_who_waits_keeps_his_place_for_a_while_without_a_session() {
    let mut bench = open(TeamSettings::default());
    bench.arrive(1, wanted(0), 1);
    let link = |live| Event::CustomerLink {
        conversation: ConversationId(1),
        live,
    };
    bench.step(link(false));
    bench.pass(119_000);
    bench.step(link(true));
    bench.pass(200_000);
    assert_eq!(bench.desk.waiting(TeamId(0)), 1);
    bench.step(link(false));
    bench.pass(120_000);
    // He is gone; what he wrote is not.
    assert!(bench.desk.episode(EpisodeId(1)).unwrap().left);
    assert_eq!(bench.desk.waiting(TeamId(0)), 1);
}

#[test]
fn bad_settings_are_refused() {
    let mut bench = open(TeamSettings::default());
    let refused = [Action::Refuse(Asker::Operator, Refusal::BadSettings)];
    let ring = |after_ms| Ring {
        after_ms,
        waive: Skills::NONE,
        join: None,
    };
    let team = |rings| {
        Event::Team(
            TeamId(1),
            TeamSettings {
                rings,
                ..TeamSettings::default()
            },
        )
    };
    assert_eq!(bench.step(team(vec![ring(2), ring(1)])), refused);
    assert!(
        bench
            .step(team(vec![ring(1); limits::RINGS_MAX]))
            .is_empty()
    );
    assert_eq!(
        bench.step(team(vec![ring(1); limits::RINGS_MAX + 1])),
        refused
    );
    assert_eq!(
        bench.step(Event::Agent(AgentId(1), agent(0, 0, ZH))),
        refused
    );
    let mut twice = agent(0, 1, ZH);
    twice.teams.push(twice.teams[0]);
    assert_eq!(bench.step(Event::Agent(AgentId(1), twice)), refused);
    let unknown = bench.step(Event::Bind(AgentId(1), AgentStatus::Online));
    assert_eq!(
        unknown,
        [Action::Refuse(Asker::Agent(AgentId(1)), Refusal::NoAgent)]
    );
}

#[test]
fn b17_while_the_agent_owes_the_answer_nobody_is_silent() {
    let mut bench = open(TeamSettings {
        answer_ms: None,
        answer_warn_ms: None,
        ..TeamSettings::default()
    });
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    assert!(bench.pass(24 * 3_600_000).is_empty());
    bench.step(says(1, episode, 2));
    bench.arrive(1, wanted(0), 3);
    assert!(bench.pass(24 * 3_600_000).is_empty(), "he asked again");
    // A note is no answer.
    bench.step(Event::AgentSays {
        agent: AgentId(1),
        episode,
        seq: 4,
        internal: true,
    });
    assert!(bench.pass(24 * 3_600_000).is_empty());
    bench.step(says(1, episode, 5));
    assert_eq!(bench.pass(25 * 60_000), [Action::WarnCustomer(episode)]);
    // His new agent owes the first word.
    bench.online(2, agent(0, 1, Skills::NONE));
    bench.step(transfer(1, episode, Target::Agent(AgentId(2))));
    bench.step(Event::Accept(AgentId(2), episode));
    assert!(bench.pass(24 * 3_600_000).is_empty());
    assert_eq!(bench.owner(1), Some(2));
}

//! Stories of assignment, offers and transfers: one behaviour each.

use super::*;

#[test]
fn what_he_typed_before_an_agent_came_arrives_first_and_once() {
    let mut bench = open(TeamSettings {
        greeting: true,
        ..TeamSettings::default()
    });
    assert_eq!(
        bench.arrive(7, wanted(0), 1)[0],
        Action::Finding(EpisodeId(1))
    );
    bench.arrive(7, wanted(0), 2);
    assert!(
        bench.arrive(7, wanted(0), 2).is_empty(),
        "the same message again"
    );
    assert_eq!(
        bench.desk.assign_status(ConversationId(7)),
        CustomerAssignStatus::Assigning
    );
    let mut settings = agent(0, 1, Skills::NONE);
    settings.greeting = true;
    bench.step(Event::Agent(AgentId(1), settings));
    bench.now += 1_000;
    let told = bench.step(Event::Bind(AgentId(1), AgentStatus::Online));
    let (episode, agent) = (EpisodeId(1), AgentId(1));
    // OCIM's order: the customer, the greetings, the agent, what was typed.
    let how = How::Automatic;
    assert_eq!(
        told,
        [
            Action::StatusChanged(agent, AgentStatus::Online),
            Action::Connected {
                episode,
                agent,
                how,
                waited_ms: 1_002
            },
            Action::Greet(episode, None),
            Action::Greet(episode, Some(agent)),
            Action::Given {
                episode,
                agent,
                how,
                transfer: None
            },
            Action::HandOver {
                episode,
                agent,
                from_seq: 1,
                to_seq: 2
            },
        ]
    );
    assert_eq!(
        bench.desk.assign_status(ConversationId(7)),
        CustomerAssignStatus::Assigned
    );
    let routed = bench.arrive(7, wanted(0), 3);
    assert_eq!(
        routed,
        [Action::Route {
            episode,
            to: Party::Agent(agent),
            seq: 3
        }]
    );
    bench.step(Event::Close(agent, episode));
    assert_eq!(
        bench.desk.assign_status(ConversationId(7)),
        CustomerAssignStatus::Unassigned
    );
}

#[test]
fn the_least_flexible_agent_is_chosen_then_the_least_loaded_then_the_longest_idle() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 2, ZH.and(EN)));
    bench.online(2, agent(0, 2, ZH));
    bench.online(3, agent(0, 2, ZH));
    for customer in 1..=5 {
        bench.arrive(
            customer,
            Wanted {
                skills: ZH,
                ..wanted(0)
            },
            1,
        );
    }
    let owners: Vec<_> = (1..=5).map(|customer| bench.owner(customer)).collect();
    assert_eq!(owners, [Some(2), Some(3), Some(2), Some(3), Some(1)]);
}

#[test]
fn the_last_slot_of_an_agent_with_three_skills_is_kept_for_the_rarest() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 2, ZH.and(EN).and(VIP)));
    bench.step(Event::Agent(AgentId(2), agent(0, 3, ZH.and(EN))));
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
            skills: ZH,
            ..wanted(0)
        },
        1,
    );
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), None));
    bench.arrive(
        3,
        Wanted {
            skills: VIP,
            ..wanted(0)
        },
        1,
    );
    assert_eq!(bench.owner(3), Some(1));
    // Once nobody else could ever serve Chinese, it is not kept from it.
    bench.step(Event::Close(AgentId(1), bench.episode(3)));
    assert_eq!(bench.owner(2), None);
    bench.step(Event::RemoveAgent(AgentId(2)));
    assert_eq!(bench.owner(2), Some(1));
}

#[test]
fn the_former_agent_gets_him_if_free_now_and_nobody_waits_for_him_otherwise() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, ZH.and(EN)));
    bench.online(2, agent(0, 2, Skills::NONE));
    let returning = Wanted {
        former: Some(AgentId(1)),
        ..wanted(0)
    };
    bench.arrive(1, returning.clone(), 1);
    bench.arrive(2, returning, 1);
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), Some(2)));
}

#[test]
fn ocims_rules_go_round_and_remember() {
    let mut bench = open(TeamSettings::ocim("1").unwrap());
    for id in 1..=3 {
        bench.now += 1;
        bench.online(id, agent(0, 3, Skills::NONE));
    }
    for customer in 1..=4 {
        bench.arrive(
            customer,
            Wanted {
                former: Some(AgentId(3)),
                ..wanted(0)
            },
            1,
        );
    }
    let owners: Vec<_> = (1..=4).map(|customer| bench.owner(customer)).collect();
    assert_eq!(owners, [Some(1), Some(2), Some(3), Some(1)]);
    bench.team(0, TeamSettings::ocim("0").unwrap());
    bench.arrive(
        5,
        Wanted {
            former: Some(AgentId(3)),
            ..wanted(0)
        },
        1,
    );
    // Memory does not count as a turn: 2 is still next.
    bench.arrive(6, wanted(0), 1);
    assert_eq!((bench.owner(5), bench.owner(6)), (Some(3), Some(2)));
    bench.team(0, TeamSettings::ocim("2").unwrap());
    bench.arrive(7, wanted(0), 1);
    bench.arrive(8, wanted(0), 1);
    bench.step(Event::Close(AgentId(1), bench.episode(1)));
    bench.step(Event::Close(AgentId(1), bench.episode(4)));
    bench.arrive(9, wanted(0), 1);
    assert_eq!(bench.owner(9), Some(1), "most idle");
    assert_eq!(TeamSettings::ocim("3"), None);
}

#[test]
fn ocims_words_are_expressible() {
    for code in ["1", "2", "3", "4"] {
        assert_eq!(AgentStatus::from_ocim(code).unwrap().to_ocim(), code);
    }
    assert_eq!(AgentStatus::from_ocim("5"), None);
    assert_eq!(AgentStatus::NotResponding.to_ocim(), "3");
    let numbers = [
        CustomerAssignStatus::Unassigned as u8,
        CustomerAssignStatus::Assigned as u8,
        CustomerAssignStatus::Assigning as u8,
    ];
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn an_offer_missed_twice_makes_him_not_responding_and_goes_to_the_next() {
    let mut bench = open(ringing());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    let rings = Stage::Offered {
        agent: AgentId(1),
        via: TeamId(0),
    };
    assert_eq!(bench.desk.stage(episode), Some(rings));
    bench.pass(25_000);
    // Nobody else is there: he is asked again, and then no more.
    assert_eq!(bench.desk.stage(episode), Some(rings));
    bench.pass(25_000);
    assert_eq!(bench.desk.stage(episode), Some(Stage::Queued));
    assert_eq!(
        bench.desk.agent_status(AgentId(1)),
        Some(AgentStatus::NotResponding)
    );
    bench.online(2, agent(0, 1, Skills::NONE));
    bench.step(Event::Accept(AgentId(2), episode));
    assert_eq!(bench.owner(1), Some(2));
    let late = bench.step(Event::Accept(AgentId(1), episode));
    assert_eq!(
        late,
        [Action::Refuse(Asker::Agent(AgentId(1)), Refusal::OfferOver)]
    );
}

#[test]
fn without_a_first_answer_he_is_warned_and_loses_the_customer() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.online(2, agent(0, 1, EN));
    let told = bench.pass(60_000);
    assert_eq!(told, [Action::WarnAgent(episode, AgentId(1))]);
    let told = bench.pass(30_000);
    assert!(told.contains(&Action::Waiting(episode, Requeue::NoAnswer)));
    assert_eq!(bench.owner(1), Some(2));
    bench.step(says(2, episode, 5));
    bench.pass(200_000);
    assert_eq!(bench.owner(1), Some(2));
}

#[test]
fn a_lost_agent_gets_nothing_new_and_keeps_his_customers_for_the_grace_time() {
    let mut bench = open(TeamSettings {
        answer_ms: None,
        ..TeamSettings::default()
    });
    bench.online(1, agent(0, 2, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    bench.step(Event::AgentLost(AgentId(1)));
    bench.arrive(2, wanted(0), 1);
    assert_eq!(bench.owner(2), None);
    bench.pass(59_000);
    bench.step(Event::Bind(AgentId(1), AgentStatus::Online));
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), Some(1)));
    bench.step(Event::AgentLost(AgentId(1)));
    bench.arrive(3, wanted(0), 1);
    bench.pass(60_000);
    assert_eq!(bench.desk.waiting(TeamId(0)), 3);
    // Those who lost their agent stand before him who came meanwhile.
    bench.online(2, agent(0, 2, Skills::NONE));
    assert_eq!(
        (bench.owner(1), bench.owner(2), bench.owner(3)),
        (Some(2), Some(2), None)
    );
}

#[test]
fn a_transfer_waits_for_its_receiver_and_otherwise_comes_back() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    bench.online(2, agent(0, 1, Skills::NONE));
    let to = Target::Agent(AgentId(2));
    let offer = |answer_ms| Action::Offer {
        episode,
        agent: AgentId(2),
        answer_ms,
        transfer: Some((AgentId(1), "a VIP".into())),
    };
    assert_eq!(bench.step(transfer(1, episode, to)), [offer(30_000)]);
    // His slot is set aside.
    bench.arrive(2, wanted(0), 1);
    assert_eq!(bench.owner(2), None);
    let told = bench.step(Event::Decline(AgentId(2), episode));
    assert!(told.contains(&Action::TransferFailed(
        episode,
        AgentId(1),
        Unaccepted::Declined
    )));
    assert_eq!((bench.owner(1), bench.owner(2)), (Some(1), Some(2)));
    let busy = bench.step(transfer(1, episode, to));
    assert_eq!(
        busy,
        [Action::Refuse(
            Asker::Agent(AgentId(1)),
            Refusal::TargetBusy
        )]
    );
    bench.step(Event::Close(AgentId(2), bench.episode(2)));
    bench.step(transfer(1, episode, to));
    let told = bench.pass(30_000);
    assert!(told.contains(&Action::TransferFailed(
        episode,
        AgentId(1),
        Unaccepted::Missed
    )));
    bench.step(Event::SetStatus {
        agent: AgentId(2),
        status: AgentStatus::Busy,
        hand_over: false,
    });
    bench.step(Event::Bind(AgentId(2), AgentStatus::Online));
    bench.step(transfer(1, episode, to));
    let told = bench.step(Event::Accept(AgentId(2), episode));
    let done = Action::TransferDone(episode, AgentId(1), to);
    let released = Action::Released {
        episode,
        agent: AgentId(1),
    };
    assert_eq!(told[..2], [done, released]);
    assert!(told.contains(&Action::HandOver {
        episode,
        agent: AgentId(2),
        from_seq: 1,
        to_seq: 2
    }));
    assert_eq!(bench.owner(1), Some(2));
    let foreign = bench.step(says(1, episode, 3));
    assert_eq!(
        foreign,
        [Action::Refuse(Asker::Agent(AgentId(1)), Refusal::NotYours)]
    );
}

#[test]
fn a_transfer_survives_a_restart_and_its_time_begins_anew() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    bench.online(2, agent(0, 1, Skills::NONE));
    bench.step(transfer(1, episode, Target::Agent(AgentId(2))));
    let mut copy = Bench {
        desk: Desk::rebuild(&bench.log),
        now: bench.now,
        log: bench.log,
    };
    assert!(copy.desk.state.episodes[&episode].transfer.is_some());
    // Down for an hour: nobody is to blame, all that waits for somebody begins anew.
    copy.now += 3_600_000;
    assert!(copy.step(Event::Restarted).is_empty());
    copy.pass(29_000);
    copy.step(Event::Bind(AgentId(1), AgentStatus::Online));
    let told = copy.step(Event::Bind(AgentId(2), AgentStatus::Online));
    let again = Action::Offer {
        episode,
        agent: AgentId(2),
        answer_ms: 30_000,
        transfer: Some((AgentId(1), "a VIP".into())),
    };
    assert_eq!(told, [again]);
    copy.step(Event::Accept(AgentId(2), episode));
    assert_eq!(copy.owner(1), Some(2));
}

#[test]
fn after_a_restart_a_transfer_to_somebody_who_stays_away_comes_back() {
    let mut bench = open(TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(says(1, episode, 2));
    bench.online(2, agent(0, 1, Skills::NONE));
    bench.step(transfer(1, episode, Target::Agent(AgentId(2))));
    bench.step(Event::Restarted);
    bench.step(Event::Bind(AgentId(1), AgentStatus::Online));
    let told = bench.pass(30_000);
    assert!(told.contains(&Action::TransferFailed(
        episode,
        AgentId(1),
        Unaccepted::Unavailable
    )));
    assert_eq!(bench.owner(1), Some(1));
}

#[test]
fn a_team_transfer_queues_him_with_age_and_note() {
    let mut bench = open(TeamSettings::default());
    bench.team(1, TeamSettings::default());
    bench.online(1, agent(0, 1, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    let to = Target::Team(TeamId(1), Skills::NONE);
    let absent = bench.step(transfer(1, episode, to));
    assert_eq!(
        absent,
        [Action::Refuse(
            Asker::Agent(AgentId(1)),
            Refusal::TargetAbsent
        )]
    );
    bench.online(2, agent(1, 1, Skills::NONE));
    bench.arrive(2, wanted(1), 1);
    bench.arrive(3, wanted(1), 1);
    bench.step(transfer(1, episode, to));
    assert_eq!(
        (bench.desk.waiting(TeamId(0)), bench.desk.waiting(TeamId(1))),
        (0, 2)
    );
    let told = bench.step(Event::Close(AgentId(2), bench.episode(2)));
    let note = Some((AgentId(1), "a VIP".into()));
    let (agent, how) = (AgentId(2), How::Automatic);
    assert!(told.contains(&Action::Given {
        episode,
        agent,
        how,
        transfer: note
    }));
    assert_eq!((bench.owner(1), bench.owner(3)), (Some(2), None));
}

#[test]
fn b13_a_transfer_to_a_team_with_only_its_giver_there_is_refused() {
    for settings in [TeamSettings::default(), TeamSettings::ocim("0").unwrap()] {
        let mut bench = open(settings);
        bench.online(1, agent(0, 2, Skills::NONE));
        bench.arrive(1, wanted(0), 1);
        let episode = bench.episode(1);
        let to = Target::Team(TeamId(0), Skills::NONE);
        let refused = bench.step(transfer(1, episode, to));
        let why = Refusal::TargetAbsent;
        assert_eq!(refused, [Action::Refuse(Asker::Agent(AgentId(1)), why)]);
        assert_eq!(bench.owner(1), Some(1), "he keeps the customer");
    }
}

#[test]
fn b13_a_transfer_does_not_come_back_to_its_giver_by_itself() {
    let mut bench = open(ringing());
    bench.online(1, agent(0, 2, Skills::NONE));
    bench.arrive(1, wanted(0), 1);
    let episode = bench.episode(1);
    bench.step(Event::Accept(AgentId(1), episode));
    bench.step(says(1, episode, 2));
    bench.online(2, agent(0, 2, Skills::NONE));
    bench.step(transfer(1, episode, Target::Team(TeamId(0), Skills::NONE)));
    // It rings at the other until he does not respond any more, and then at nobody.
    bench.pass(60_000);
    bench.step(Event::AgentLost(AgentId(2)));
    bench.pass(60_000);
    assert_eq!(bench.desk.stage(episode), Some(Stage::Queued));
    // He may take him back himself.
    bench.step(Event::Pull(AgentId(1), None));
    assert_eq!(bench.owner(1), Some(1));
}

//! Stories: one behaviour each.

use super::*;

const ZH: Skills = Skills(1);
const EN: Skills = Skills(2);
const VIP: Skills = Skills(4);

fn open(settings: TeamSettings) -> Bench {
    let mut bench = Bench {
        now: 1_000_000,
        ..Bench::default()
    };
    bench.step(Event::Settings(DeskSettings::default()));
    bench.team(0, settings);
    bench
}

fn says(agent: u32, episode: EpisodeId, seq: u64) -> Event {
    Event::AgentSays {
        agent: AgentId(agent),
        episode,
        seq,
        internal: false,
    }
}

fn transfer(agent: u32, episode: EpisodeId, to: Target) -> Event {
    Event::Transfer {
        agent: AgentId(agent),
        episode,
        to,
        note: "a VIP".into(),
    }
}

fn ringing() -> TeamSettings {
    TeamSettings {
        mode: Mode::Ring,
        ..TeamSettings::default()
    }
}

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
    assert_eq!(bench.step(whisper.clone()), [refused.clone()]);
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
fn outside_hours_there_is_a_form_and_within_them_a_queue() {
    // Monday to Friday, 9 to 18 o'clock in UTC+8.
    let day = |day: u32| Opening {
        from_min: day * 1440 + 540,
        to_min: day * 1440 + 1080,
    };
    let settings = TeamSettings {
        hours: (0..5).map(day).collect(),
        utc_offset_min: 480,
        ..TeamSettings::default()
    };
    // Thursday 1970-01-01, 00:00 UTC is 8 o'clock there.
    assert!(!settings.open_at(0));
    assert!(settings.open_at(3_600_000));
    assert!(!settings.open_at(10 * 3_600_000));
    assert!(!settings.open_at((2 * 24 + 1) * 3_600_000), "Saturday");
    let night = TeamSettings {
        hours: vec![Opening {
            from_min: 9_000,
            to_min: 600,
        }],
        ..TeamSettings::default()
    };
    assert!(
        night.open_at(4 * 24 * 3_600_000) && !night.open_at(0),
        "over the end of the week"
    );
    let mut bench = open(settings);
    let form = Action::OfflineForm(ConversationId(1), TeamId(0));
    assert_eq!(bench.arrive(1, wanted(0), 1), [form.clone()]);
    bench.step(Event::WallClock(3_600_000));
    bench.arrive(1, wanted(0), 1);
    assert_eq!(bench.desk.waiting(TeamId(0)), 1);
    let told = bench.step(Event::LeaveMessage(ConversationId(1)));
    assert_eq!(told[1], form, "on request");
    assert_eq!(
        bench.desk.ended(EpisodeId(1)),
        Some((Ending::LeftMessage, None))
    );
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
    assert_eq!(
        bench.desk.ended(EpisodeId(1)),
        Some((Ending::Abandoned, None))
    );
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

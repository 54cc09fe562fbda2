//! What the machine is told, and what it wants done.

use super::record::Entry;
use super::settings::{AgentSettings, DeskSettings, TeamSettings, Wanted};
use super::types::{
    AgentId, AgentStatus, Ending, EpisodeId, How, Party, Requeue, Supervision, Target, TeamId,
    Unaccepted,
};
use crate::ids::ConversationId;
use crate::time::Time;

/// An input. Whoever it names was authenticated by the session that sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Set the tenant's settings.
    Settings(DeskSettings),
    /// Make or change a team.
    Team(TeamId, TeamSettings),
    /// Make or change an agent.
    Agent(AgentId, AgentSettings),
    /// The team's business hours began or ended. A team of which nothing was said is open.
    TeamOpen(TeamId, bool),
    /// Remove an agent; his customers are queued again.
    RemoveAgent(AgentId),
    /// The wall clock is the desk's time plus so many milliseconds: at start and when it steps.
    WallClock(i64),
    /// The process started again and every session is gone. First event after a rebuild.
    Restarted,
    /// Time passed: sent when [`super::Desk::next_deadline`] is reached.
    Due,
    /// An agent's session is ready for customers (OCIM BIND), with the status that he asks for.
    Bind(AgentId, AgentStatus),
    /// An agent's last session is gone.
    AgentLost(AgentId),
    /// An agent changes his status.
    SetStatus {
        /// Who.
        agent: AgentId,
        /// To what.
        status: AgentStatus,
        /// Whether his customers are queued again, instead of being finished by him.
        hand_over: bool,
    },
    /// A customer writes, with what he would need if no episode is open.
    Arrive {
        /// His conversation with the team.
        conversation: ConversationId,
        /// What he needs.
        wanted: Wanted,
        /// The message in the conversation's log.
        seq: u64,
    },
    /// A customer's session came or went.
    CustomerLink {
        /// Whose.
        conversation: ConversationId,
        /// Whether he has one now.
        live: bool,
    },
    /// A customer ends the episode, or gives up waiting.
    CustomerLeaves(ConversationId),
    /// A customer who waits leaves a message instead.
    LeaveMessage(ConversationId),
    /// An agent accepts an offer or a transfer.
    Accept(AgentId, EpisodeId),
    /// An agent declines an offer or a transfer.
    Decline(AgentId, EpisodeId),
    /// An agent takes the named episode, or the head of his queues, whatever his status and
    /// capacity (OCIM RECEPTION).
    Pull(AgentId, Option<EpisodeId>),
    /// An agent writes.
    AgentSays {
        /// Who.
        agent: AgentId,
        /// In which episode.
        episode: EpisodeId,
        /// The message in the conversation's log.
        seq: u64,
        /// Only for agents: a note or a whisper.
        internal: bool,
    },
    /// An agent puts an episode on hold.
    Hold(AgentId, EpisodeId),
    /// An agent takes an episode off hold.
    Resume(AgentId, EpisodeId),
    /// An agent ends an episode.
    Close(AgentId, EpisodeId),
    /// An agent has finished the work after an episode.
    WrapUpDone(AgentId, EpisodeId),
    /// An agent hands an episode over.
    Transfer {
        /// Who.
        agent: AgentId,
        /// Which.
        episode: EpisodeId,
        /// To whom.
        to: Target,
        /// What the receiver should know.
        note: Box<str>,
    },
    /// A supervisor begins, changes or (`None`) ends his part in an episode.
    Supervise(AgentId, EpisodeId, Option<Supervision>),
    /// A supervisor takes an episode from its agent or from the queue.
    TakeOver(AgentId, EpisodeId),
    /// A customer rates an ended episode.
    Rate {
        /// Whose.
        conversation: ConversationId,
        /// Which.
        episode: EpisodeId,
        /// 1 to 5.
        stars: u8,
        /// What he wrote.
        text: Box<str>,
    },
    /// Somebody recalls a message. The driver has looked it up.
    Recall {
        /// Who asks.
        by: Party,
        /// In which episode.
        episode: EpisodeId,
        /// Which message.
        seq: u64,
        /// Who wrote it and when, on the desk's time; `None` if there is no such message.
        written: Option<(Party, Time)>,
    },
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent is not known.
    #[error("no such agent")]
    NoAgent,
    /// The team is not known.
    #[error("no such team")]
    NoTeam,
    /// The episode is not open (or not ended, for a rating).
    #[error("no such episode")]
    NoEpisode,
    /// The agent has no live session.
    #[error("the agent has no session")]
    NotBound,
    /// The episode is somebody else's (OCIM CHATTING/FAIL).
    #[error("another agent serves the customer")]
    NotYours,
    /// Only supervisors may.
    #[error("only a supervisor may do that")]
    NotSupervisor,
    /// Nobody waits whom the agent could take.
    #[error("nobody waits")]
    QueueEmpty,
    /// The offer or transfer is over.
    #[error("the offer is over")]
    OfferOver,
    /// The receiver of a transfer is not online or has no free slot.
    #[error("the receiving agent is busy or offline")]
    TargetBusy,
    /// The receiving team is closed, or none of its agents has a session but who gives him away.
    #[error("nobody else of the receiving team is there; you still serve the customer")]
    TargetAbsent,
    /// A transfer of the episode is already under way, or it would go to its own agent.
    #[error("a transfer to there makes no sense now")]
    TransferPending,
    /// The setting exceeds a limit: a skill number, rings, teams, a capacity of 0.
    #[error("a setting is out of bounds")]
    BadSettings,
    /// The rating is not 1 to 5.
    #[error("a rating is 1 to 5")]
    BadRating,
    /// Too late for that.
    #[error("too late")]
    TooLate,
    /// Somebody else wrote the message, or there is none.
    #[error("not your message")]
    NotYourMessage,
    /// It has been done before.
    #[error("already done")]
    Already,
}

/// Who is told of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A customer.
    Customer(ConversationId),
    /// An agent.
    Agent(AgentId),
    /// Whoever administers the desk.
    Operator,
}

/// What the driver does. The [`Action::Store`] entries of one step are committed together; the
/// rest is carried out, in order, once they are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Commit this.
    Store(Entry),
    /// Tell whoever asked.
    Refuse(Asker, Refusal),
    /// To the customer: somebody is being found (OCIM BUILDING_CHAT).
    Finding(EpisodeId),
    /// To the customer: his place, and the wait expected, if it is known.
    Position {
        /// Which episode.
        episode: EpisodeId,
        /// From 1.
        position: u64,
        /// Milliseconds; `None` while too little is known.
        wait_ms: Option<u64>,
    },
    /// To the agents of the team: so many wait.
    QueueLength {
        /// Which team.
        team: TeamId,
        /// How many.
        waiting: u64,
    },
    /// To the customer: the team is closed, or nobody serves it, or he asked for it; what he wrote
    /// is kept and will be dealt with.
    Left(EpisodeId),
    /// To the customer: his agent has lost his connection.
    AgentAway(EpisodeId, AgentId),
    /// To the customer: his agent is there again.
    AgentBack(EpisodeId, AgentId),
    /// To the agent: will you take it?
    Offer {
        /// Which episode.
        episode: EpisodeId,
        /// Who is asked.
        agent: AgentId,
        /// How long he has.
        answer_ms: u64,
        /// The giver and his note, if it is a transfer.
        transfer: Option<(AgentId, Box<str>)>,
    },
    /// To the agent: the offer is over.
    OfferOver {
        /// Which episode.
        episode: EpisodeId,
        /// Who had been asked.
        agent: AgentId,
        /// How it ended.
        why: Unaccepted,
    },
    /// To the customer: the agent serves you.
    Connected {
        /// Which episode.
        episode: EpisodeId,
        /// Who.
        agent: AgentId,
        /// How.
        how: How,
        /// How long he has waited in all.
        waited_ms: u64,
    },
    /// To the customer, from the team (`None`) or the agent: the greeting that is on file.
    Greet(EpisodeId, Option<AgentId>),
    /// To the agent: you serve this customer.
    Given {
        /// Which episode.
        episode: EpisodeId,
        /// Who.
        agent: AgentId,
        /// How.
        how: How,
        /// The giver and his note, if it is a transfer.
        transfer: Option<(AgentId, Box<str>)>,
    },
    /// To the agent: everything that was written in the episode so far, in order.
    HandOver {
        /// Which episode.
        episode: EpisodeId,
        /// To whom.
        agent: AgentId,
        /// First message.
        from_seq: u64,
        /// Last message.
        to_seq: u64,
    },
    /// To one who takes part: one message.
    Route {
        /// Which episode.
        episode: EpisodeId,
        /// To whom.
        to: Party,
        /// Which message.
        seq: u64,
    },
    /// To the agent: you do not serve this customer any more.
    Released {
        /// Which episode.
        episode: EpisodeId,
        /// Who.
        agent: AgentId,
    },
    /// To the customer: you wait again.
    Waiting(EpisodeId, Requeue),
    /// To the agent: the customer waits for your first answer.
    WarnAgent(EpisodeId, AgentId),
    /// To the customer: are you still there?
    WarnCustomer(EpisodeId),
    /// To the giver: the customer went to the target.
    TransferDone(EpisodeId, AgentId, Target),
    /// To the giver: he did not; you still serve him.
    TransferFailed(EpisodeId, AgentId, Unaccepted),
    /// To the agent: a supervisor's part in the episode is this.
    Supervised(EpisodeId, AgentId, Option<Supervision>),
    /// To all agents: this one's status.
    StatusChanged(AgentId, AgentStatus),
    /// To the customer and, if somebody served it, to the agent: the episode ended.
    Closed(EpisodeId, Option<AgentId>, Ending),
    /// To the customer: how was it?
    AskRating(EpisodeId),
    /// To all who take part: the message is recalled.
    Recalled(EpisodeId, u64),
}

//! What agents and customers ask of a desk, and what an agent's session is told.

use tidings_core::desk::{AgentStatus, EpisodeId, How, Refusal, Supervision, Unaccepted};
use tidings_core::ids::Name;
use tidings_core::message::MessageRef;

use super::notice::ClosedBy;

/// Which episode an agent means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chat {
    /// This one: OCIM's `cid`.
    Episode(EpisodeId),
    /// The open one of this customer, his own before others'.
    Customer(Name),
}

/// To whom an episode is transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferTo {
    /// An agent, by account.
    Agent(String),
    /// A team, by name, with the skills needed there.
    Team(String, Vec<String>),
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Writes to the customer or, `internal`, a note for other agents.
    Say {
        /// In which episode.
        chat: Chat,
        /// His id for it: OCIM's `pid`. The same id and text again is the same message.
        id: String,
        /// Its kind.
        typeu: i32,
        /// The text.
        text: String,
        /// Only for agents.
        internal: bool,
    },
    /// Changes his status.
    SetStatus {
        /// To what.
        status: AgentStatus,
        /// Whether his customers are queued again.
        hand_over: bool,
    },
    /// Takes an episode, or the first in his queues (OCIM RECEPTION).
    Pull(Option<EpisodeId>),
    /// Hands an episode over.
    Transfer {
        /// Which.
        chat: Chat,
        /// To whom.
        to: TransferTo,
        /// What the receiver should know.
        note: String,
    },
    /// Ends an episode.
    Close(Chat),
    /// Recalls a message that he wrote.
    Recall {
        /// In which episode; it may have ended.
        chat: Chat,
        /// His id for it.
        id: String,
    },
    /// Takes what is offered.
    Accept(EpisodeId),
    /// Does not.
    Decline(EpisodeId),
    /// Puts an episode on hold.
    Hold(EpisodeId),
    /// Takes it off.
    Resume(EpisodeId),
    /// Has finished the work after an episode.
    WrapUpDone(EpisodeId),
    /// Begins, changes or ends his part in somebody else's episode.
    Supervise(EpisodeId, Option<Supervision>),
    /// Takes an episode from its agent or from the queue.
    TakeOver(EpisodeId),
}

/// What a customer does beside writing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CustomerAct {
    /// Ends the episode, or gives up waiting.
    Leave,
    /// Asks for the form instead of waiting.
    LeaveMessage,
    /// Rates an ended episode.
    Rate {
        /// Which.
        episode: EpisodeId,
        /// 1 to 5.
        stars: u8,
        /// What he writes about it.
        text: String,
    },
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// The desk says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something is longer than it may be.
    #[error("{what} has {bytes} bytes; it may have {max}")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The id of a message breaks a rule, or was used for other content.
    #[error("message id `{id}`: {problem}")]
    Id {
        /// As it was given.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store did not take it; nothing happened.
    #[error("not stored: {0}; try again")]
    Store(String),
    /// The desk does not answer: its store is down, or it has much to do.
    #[error("the desk does not answer; see the server's log, and try again")]
    Busy,
    /// What he was let in with holds no more: it was revoked.
    #[error("you are signed out: sign in again")]
    SignedOut,
    /// There is no such tenant or team.
    #[error("there is no such desk")]
    NoDesk,
    /// The server stops.
    #[error("the server stops")]
    Stopped,
}

/// An episode as an agent's session sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatInfo {
    /// OCIM's `cid`.
    pub episode: EpisodeId,
    /// The customer.
    pub customer: Name,
    /// The team that he wrote to: the address of the conversation, without its `@`.
    pub team: Name,
}

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// The customer.
    Customer,
    /// An agent, by account.
    Agent(Name),
    /// The desk: a greeting.
    Desk,
}

/// What an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// His account.
    pub account: Name,
    /// His number within the tenant.
    pub number: u32,
    /// What he is called.
    pub title: String,
    /// The tenant.
    pub tenant: Name,
    /// His first team, without its `@`.
    pub team: String,
    /// His status.
    pub status: AgentStatus,
    /// How many customers he serves.
    pub serving: usize,
    /// How many he serves at most.
    pub capacity: u32,
    /// Whether he takes part in automatic assignment (OCIM shunt).
    pub automatic: bool,
    /// His greeting; empty if he has none.
    pub greeting: String,
    /// His teams, without their `@`, and how many wait for each.
    pub waiting: Vec<(Name, u64)>,
}

/// What an agent's session is told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentEvent {
    /// He is bound. Then come the episodes that he serves, then everything else.
    Bound(Box<Profile>),
    /// He serves this customer. What was written so far follows.
    Given {
        /// Which.
        chat: ChatInfo,
        /// How he got it; `None`: he has had it, this session is told again.
        how: Option<How>,
        /// Who gave it, and his remark.
        transfer: Option<(Name, String)>,
    },
    /// Somebody wrote.
    Message {
        /// Where.
        chat: ChatInfo,
        /// Who.
        author: Author,
        /// What; its `id` is without the author.
        id: String,
        /// The message.
        message: MessageRef,
    },
    /// Will he take it?
    Offer {
        /// Which.
        chat: ChatInfo,
        /// How long he has, milliseconds.
        answer_ms: u64,
        /// Who gives it, and his remark, if it is a transfer.
        transfer: Option<(Name, String)>,
    },
    /// The offer is over.
    OfferOver(EpisodeId, Unaccepted),
    /// He does not serve this customer any more.
    Released(ChatInfo),
    /// The episode ended.
    Closed(ChatInfo, ClosedBy),
    /// The customer waits for his first answer.
    AnswerWarning(ChatInfo),
    /// The customer was told that the episode will be closed.
    IdleWarning(ChatInfo),
    /// The customer went where he was transferred.
    TransferDone(ChatInfo),
    /// He did not; he is still this agent's.
    TransferFailed(ChatInfo, Unaccepted),
    /// His part in somebody else's episode.
    Supervised(ChatInfo, Option<Supervision>),
    /// Another agent's status.
    Status(Name, AgentStatus),
    /// So many wait for a team.
    Queue {
        /// Which, without its `@`.
        team: Name,
        /// How many.
        waiting: u64,
    },
    /// A message was recalled.
    Recalled {
        /// Where.
        chat: ChatInfo,
        /// Its author's id for it.
        id: String,
    },
    /// Another session of this agent took the place of this one, which ends.
    Replaced,
}

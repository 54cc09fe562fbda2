//! What customers and agents have seen, each from his own end, and what must never be seen.

use super::plan::Plan;

/// One customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Seconds after the beginning: his first text was handed to the socket.
    pub(super) handed_s: Option<f64>,
    /// He was told that an agent serves him.
    pub(super) told_s: Option<f64>,
    /// The agent was told so.
    pub(super) given_s: Option<f64>,
    /// Texts that he has handed over, at least once.
    pub(super) sent: u32,
    /// Texts that have reached an agent.
    pub(super) arrived: u32,
    /// Answers that have reached him.
    pub(super) answered: u32,
    /// Who serves him, as far as agents were told.
    pub(super) agent: Option<usize>,
    pub(super) abandoned: bool,
    pub(super) served: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) accounts: Vec<Account>,
    /// Agents who are there.
    pub(super) bound: usize,
    pub(super) handed: usize,
    /// Customers who were told that they are served.
    pub(super) told: usize,
    /// Customers who have left, served or not.
    pub(super) gone: usize,
    /// Texts, either way, that came again though no connection had broken.
    pub(super) duplicated: u64,
    /// Texts, either way, that came again after one had.
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    /// An agent was given more than he can take.
    pub(super) over_capacity: u64,
    /// An agent was given a customer whom another one serves.
    pub(super) two_agents: u64,
    pub(super) links_lost: u64,
    pub(super) errors: u64,
    /// The first thing that went wrong.
    pub(super) first: Option<String>,
    /// Rises with everything that happens.
    pub(super) events: u64,
}

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Ledger {
        Ledger {
            accounts: vec![Account::default(); plan.people.len()],
            bound: 0,
            handed: 0,
            told: 0,
            gone: 0,
            duplicated: 0,
            repeated: 0,
            out_of_order: 0,
            over_capacity: 0,
            two_agents: 0,
            links_lost: 0,
            errors: 0,
            first: None,
            events: 0,
        }
    }

    /// Something that must not happen.
    pub(super) fn fault(&mut self, what: String) {
        self.first.get_or_insert(what);
    }

    pub(super) fn error(&mut self, what: String) {
        self.errors += 1;
        self.fault(what);
    }

    /// A text has arrived that should be the next after `known`; true if it was. `again`: a
    /// connection on its way had broken, so it may come once more.
    pub(super) fn next(&mut self, known: u32, number: u32, again: bool, whose: &str) -> bool {
        self.events += 1;
        if number == known + 1 {
            return true;
        }
        match (number <= known, again) {
            (true, true) => self.repeated += 1,
            (true, false) => {
                self.duplicated += 1;
                self.fault(format!("{whose} {number} came twice"));
            }
            (false, _) => {
                self.out_of_order += 1;
                self.fault(format!("{whose} {number} came after {known}"));
            }
        }
        false
    }

    /// An agent learns whom he serves.
    pub(super) fn claim(&mut self, customer: usize, agent: usize, given_s: f64) {
        let account = &mut self.accounts[customer];
        account.given_s.get_or_insert(given_s);
        if let Some(other) = account.agent.replace(agent).filter(|other| *other != agent) {
            self.two_agents += 1;
            self.fault(format!(
                "customer {customer} is served by agent {other} and given to {agent}"
            ));
        }
    }

    /// The agent does not serve him any more, or nobody knows.
    pub(super) fn release(&mut self, customer: usize, agent: usize) {
        let account = &mut self.accounts[customer];
        account.agent = account.agent.filter(|other| *other != agent);
    }

    /// For people, while it runs.
    pub(super) fn shown(&self) -> String {
        let waiting = self.handed.saturating_sub(self.told);
        format!(
            "agents {}, arrived {}, waiting {waiting}, served {}, gone {}",
            self.bound, self.handed, self.told, self.gone
        )
    }

    pub(super) fn count(&self, of: impl Fn(&Account) -> bool) -> u64 {
        self.accounts.iter().filter(|account| of(account)).count() as u64
    }

    /// Texts that were handed over and never arrived, either way; of those who were served.
    pub(super) fn lost(&self) -> u64 {
        let served = self.accounts.iter().filter(|account| account.served);
        let lost = served.map(|account| {
            let unseen = account.sent.saturating_sub(account.arrived);
            unseen + account.arrived.saturating_sub(account.answered)
        });
        lost.map(u64::from).sum()
    }
}

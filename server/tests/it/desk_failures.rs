//! The desk over a store that fails: it decides before the commit, so on `Failed` it is rebuilt from the
//! store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::desk::{Bound, Customer, bind, customer, furnish, settings};
use tidings_server::core::custody::{Backlog, Cursor, Loaded, Record, Verdict, Want};
use tidings_server::core::ids::{DeviceId, Name};
use tidings_server::core::message::{Message, MessageRef};
use tidings_server::core::wire::code;
use tidings_server::desk::{Act, AgentEvent, Author, Chat, DeskError, Desks};
use tidings_server::store::{
    Conversation, MemoryOptions, MemoryStore, Page, Profile, Receipt, Retained, Search, Size,
    Store, StoreError,
};
use tidings_server::{LocalSendError, Running, Server};

/// A store that does not take every so-manieth batch with a desk's row.
struct Failing {
    inner: MemoryStore,
    /// Rows so far, and each how manieth fails; 0: none does.
    rows: AtomicU64,
    every: AtomicU64,
    /// Rows that recall something fail.
    recalls: AtomicBool,
    /// So many redactions fail from now on.
    redactions: AtomicU64,
    /// A commit waits for as long as this is so, and whether one does.
    held: AtomicBool,
    waits: AtomicBool,
    /// What agents write to customers fails.
    answers: AtomicBool,
    /// Rows of the desk that were read.
    rows_read: AtomicU64,
}

impl Store for Failing {
    fn commit(&self, batch: &[Record], verdicts: &mut Vec<Verdict>) -> Result<(), StoreError> {
        let is_row = |record: &Record| match record {
            Record::Message(draft) => draft.typeu == code::DESK_RECORD,
            Record::Login(_) => false,
        };
        while self.held.load(Ordering::Relaxed) {
            self.waits.store(true, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.waits.store(false, Ordering::Relaxed);
        let recalls = |record: &Record| match record {
            Record::Message(draft) => draft.body.contains("\"Recalled\""),
            Record::Login(_) => false,
        };
        if self.recalls.load(Ordering::Relaxed) && batch.iter().any(recalls) {
            let path = "a test".to_owned();
            return Err(StoreError::DiskFull { path });
        }
        let answers = |record: &Record| match record {
            Record::Message(draft) => *draft.from == *"@support" && draft.id.starts_with('a'),
            Record::Login(_) => false,
        };
        if self.answers.load(Ordering::Relaxed) && batch.iter().any(answers) {
            let path = "a test".to_owned();
            return Err(StoreError::DiskFull { path });
        }
        let every = self.every.load(Ordering::Relaxed);
        if every > 0 && batch.iter().any(is_row) {
            let rows = self.rows.fetch_add(1, Ordering::Relaxed);
            if rows.is_multiple_of(every) {
                let path = "a test".to_owned();
                return Err(StoreError::DiskFull { path });
            }
        }
        self.inner.commit(batch, verdicts)
    }
    fn acknowledge(&self, cursors: &mut Vec<Cursor>) {
        self.inner.acknowledge(cursors);
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }
    fn backlog(&self, user: &str, device: DeviceId) -> Result<Backlog, StoreError> {
        self.inner.backlog(user, device)
    }
    fn load(&self, wants: &[Want], messages: usize, bytes: usize) -> Result<Loaded, StoreError> {
        self.inner.load(wants, messages, bytes)
    }
    fn load_recent(&self, wants: &[Want], messages: usize, bytes: usize) -> Option<Loaded> {
        self.inner.load_recent(wants, messages, bytes)
    }
    fn history(&self, key: &str, page: Page) -> Result<Vec<MessageRef>, StoreError> {
        let found = self.inner.history(key, page);
        if key == "@/demo\n@/demo"
            && let Ok(rows) = &found
        {
            self.rows_read
                .fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        found
    }
    fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.inner.conversations(user, before, limit)
    }
    fn set_group(&self, group: &str, members: &[Name]) -> Result<(), StoreError> {
        self.inner.set_group(group, members)
    }
    fn group(&self, group: &str) -> Result<Option<Vec<Name>>, StoreError> {
        self.inner.group(group)
    }
    fn groups(&self, after: &str, limit: usize) -> Result<Vec<(Name, usize)>, StoreError> {
        self.inner.groups(after, limit)
    }
    fn retain(&self, before_ms: i64, devices_since_ms: i64) -> Result<Retained, StoreError> {
        self.inner.retain(before_ms, devices_since_ms)
    }
    fn redact(&self, key: &str, seq: u64, instead: Option<&str>) -> Result<bool, StoreError> {
        let left = self.redactions.load(Ordering::Relaxed);
        if left > 0 {
            self.redactions.store(left - 1, Ordering::Relaxed);
            let path = "a test".to_owned();
            return Err(StoreError::DiskFull { path });
        }
        self.inner.redact(key, seq, instead)
    }
    fn find(&self, search: &Search) -> Result<Vec<MessageRef>, StoreError> {
        self.inner.find(search)
    }
    fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, StoreError> {
        self.inner.users(after, limit)
    }
    fn profile(&self, user: &str) -> Result<Option<Profile>, StoreError> {
        self.inner.profile(user)
    }
    fn receipts(&self, user: &str, message: &Message) -> Result<Vec<Receipt>, StoreError> {
        self.inner.receipts(user, message)
    }
    fn size(&self) -> Result<Size, StoreError> {
        self.inner.size()
    }
    fn is_immediate(&self) -> bool {
        false // through the committer, as a disk
    }
}

fn failing() -> Arc<Failing> {
    Arc::new(Failing {
        inner: MemoryStore::new(MemoryOptions::default()),
        rows: AtomicU64::new(0),
        every: AtomicU64::new(0),
        recalls: AtomicBool::new(false),
        redactions: AtomicU64::new(0),
        held: AtomicBool::new(false),
        waits: AtomicBool::new(false),
        answers: AtomicBool::new(false),
        rows_read: AtomicU64::new(0),
    })
}

async fn server() -> (Running, Arc<Failing>) {
    let store = failing();
    let builder = Server::builder(settings(None)).store(store.clone());
    let running = builder.start().await.unwrap();
    furnish(&running).await;
    (running, store)
}

/// Answers every text of a customer once with the same text, however often the store says no.
async fn echo(desks: Desks, mut agent: Bound) {
    let mut answered = std::collections::HashSet::new();
    while let Some(event) = agent.link.recv().await {
        let AgentEvent::Message {
            chat,
            author: Author::Customer,
            message,
            ..
        } = event
        else {
            continue;
        };
        if !answered.insert((chat.customer.clone(), message.seq)) {
            continue; // told again after a rebuild: his client knows the message
        }
        let say = Act::Say {
            chat: Chat::Episode(chat.episode),
            id: format!("re-{}", message.id),
            typeu: -1,
            text: message.body.to_string(),
            internal: false,
        };
        while let Err(error) = desks.act(&agent.agent, say.clone()).await {
            assert!(matches!(error, DeskError::Store(_)), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_whose_rows_are_refused_is_rebuilt_and_loses_nothing() {
    for every in [2, 3, 5] {
        let (running, store) = server().await;
        let mut agents = Vec::new();
        for name in ["agent1", "agent2", "agent3"] {
            let agent = bind(&running, name).await;
            agents.push(tokio::spawn(echo(running.desks(), agent)));
        }
        let mut customers = Vec::new();
        for number in 0..6 {
            customers.push(customer(&running, &format!("c{number}")).await);
        }
        // From here on; a login in a batch that fails is refused.
        store.every.store(every, Ordering::Relaxed);
        let customers = customers.into_iter().map(|one| tokio::spawn(talk(one)));
        let customers: Vec<_> = customers.collect();
        for customer in customers {
            customer.await.unwrap();
        }
        for agent in agents {
            agent.abort();
        }
        running.stop().await;
    }
}

/// A customer who writes ten texts and hears each, in order, once.
async fn talk(mut customer: Customer) {
    for text in 0..10 {
        let (id, text) = (format!("m{text}"), format!("text {text}"));
        while customer.0.send("@support", &text).id(&*id).await.is_err() {}
    }
    for text in 0..10 {
        assert_eq!(customer.text().await, format!("text {text}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_desk_catches_up_on_any_number_of_texts() {
    let (running, store) = server().await;
    let alice = customer(&running, "alice").await;
    store.every.store(1, Ordering::Relaxed);
    for n in 0..2_500 {
        let (id, text) = (format!("m{n}"), format!("text {n}"));
        // A text in a batch with a row that is refused is refused with it.
        while alice.0.send("@support", &text).id(&*id).await.is_err() {}
    }
    store.every.store(0, Ordering::Relaxed);
    let mut agent = bind(&running, "agent1").await;
    // What is more than a hand-over carries is history: the newest are there.
    let first = agent.text().await;
    let first: usize = first.strip_prefix("text ").unwrap().parse().unwrap();
    assert!(first <= 2_500 - 2_000, "{first}");
    for n in first + 1..2_500 {
        assert_eq!(agent.text().await, format!("text {n}"));
    }
    running.stop().await;
}

/// An agent who has written `secret` to a customer, with the id `r1`.
async fn secret(running: &Running) -> (Bound, Customer, Act) {
    let mut alice = customer(running, "alice").await;
    alice.says("m1", "hello").await;
    let mut agent = bind(running, "agent1").await;
    agent.given().await;
    let chat = Chat::Customer("alice".into());
    let say = Act::Say {
        chat: chat.clone(),
        id: "r1".to_owned(),
        typeu: -1,
        text: "secret".to_owned(),
        internal: false,
    };
    running.desks().act(&agent.agent, say).await.unwrap();
    assert_eq!(alice.text().await, "secret");
    let id = "r1".to_owned();
    (agent, alice, Act::Recall { chat, id })
}

fn is_kept(store: &Failing) -> bool {
    let page = Page::Before(u64::MAX, 100);
    let history = store.inner.history("@support\nalice", page).unwrap();
    history.iter().any(|message| &*message.body == "secret")
}

async fn until_gone(store: &Failing) {
    let gone = async {
        while is_kept(store) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(crate::desk::PATIENCE, gone).await;
    gone.expect("a recalled message has its text still");
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_recall_that_is_not_stored_leaves_the_text() {
    let (running, store) = server().await;
    let (agent, _alice, recall) = secret(&running).await;
    store.recalls.store(true, Ordering::Relaxed);
    let failed = running.desks().act(&agent.agent, recall.clone()).await;
    assert!(matches!(failed, Err(DeskError::Store(_))), "{failed:?}");
    assert!(is_kept(&store), "the text is gone and nothing says why");
    store.recalls.store(false, Ordering::Relaxed);
    running.desks().act(&agent.agent, recall).await.unwrap();
    assert!(!is_kept(&store));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_recall_whose_text_could_not_be_removed_is_finished() {
    let (running, store) = server().await;
    let (agent, _alice, recall) = secret(&running).await;
    store.redactions.store(1, Ordering::Relaxed);
    let failed = running.desks().act(&agent.agent, recall.clone()).await;
    assert!(matches!(failed, Err(DeskError::Store(_))), "{failed:?}");
    // Nobody asks again: the desk does.
    until_gone(&store).await;
    let again = running.desks().act(&agent.agent, recall).await;
    let already = tidings_server::core::desk::Refusal::Already;
    assert_eq!(again, Err(DeskError::Refused(already)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_recall_that_a_crash_cut_in_two_is_finished_at_the_start() {
    let (running, store) = server().await;
    let (agent, _alice, recall) = secret(&running).await;
    store.redactions.store(u64::MAX, Ordering::Relaxed);
    let failed = running.desks().act(&agent.agent, recall).await;
    assert!(matches!(failed, Err(DeskError::Store(_))), "{failed:?}");
    running.stop().await;
    assert!(is_kept(&store));
    store.redactions.store(0, Ordering::Relaxed);
    let builder = Server::builder(settings(None)).store(store.clone());
    let running = builder.start().await.unwrap();
    furnish(&running).await;
    until_gone(&store).await;
    running.stop().await;
}

/// Until an ordinary session of an agent is told this by a customer.
async fn until_told(agent: &mut tidings_server::LocalLink, text: &str) {
    loop {
        let message = tokio::time::timeout(crate::desk::PATIENCE, agent.message());
        let message = message.await.expect("the agent was not told it").unwrap();
        agent.acknowledge(&message);
        if (&*message.from, &*message.body) == ("@support/alice", text) {
            return;
        }
    }
}

/// What lies together in one batch of the desk: a text, then its agent closes and goes.
#[tokio::test(flavor = "multi_thread")]
async fn b35_a_text_before_a_close_reaches_the_agent_who_then_goes() {
    let (running, store) = server().await;
    let alice = customer(&running, "alice").await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    agent.send("@support", "/online").await.unwrap();
    alice.says("m1", "hello").await;
    until_told(&mut agent, "hello").await;
    // While the store is busy with something else, the three come to lie behind each other.
    store.held.store(true, Ordering::Relaxed);
    let handle = running.handle().clone();
    let other = tokio::spawn(async move { handle.send("bob", "something else").await });
    while !store.waits.load(Ordering::Relaxed) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let chat = "@support/alice";
    let release = async {
        tokio::task::yield_now().await;
        store.held.store(false, Ordering::Relaxed);
    };
    let (late, close, go, ()) = tokio::join!(
        alice.0.send("@support", "one more thing").into_future(),
        agent.send(chat, "/close").into_future(),
        agent.send("@support", "/offline").into_future(),
        release
    );
    for sent in [late, close, go] {
        sent.unwrap();
    }
    until_told(&mut agent, "one more thing").await;
    other.await.unwrap().unwrap();
    running.stop().await;
}

/// An answer needs nothing further to arrive: it is acknowledged where the customer gets it, or not.
#[tokio::test(flavor = "multi_thread")]
async fn d1_an_answer_that_does_not_reach_the_customer_is_not_acknowledged() {
    let (running, store) = server().await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    let mut alice = customer(&running, "alice").await;
    alice.says("m1", "where is it?").await;
    agent.send("@support", "/online").await.unwrap();
    until_told(&mut agent, "where is it?").await; // he serves her once he hears it
    store.answers.store(true, Ordering::Relaxed);
    let refused = agent.send("@support/alice", "on its way").id("a1").await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, LocalSendError::Refused { code, .. } if code == code::REFUSED_STORE),
        "{refused:?}"
    );
    store.answers.store(false, Ordering::Relaxed);
    let sent = agent.send("@support/alice", "on its way").id("a1").await;
    assert!(!sent.unwrap().duplicate);
    assert_eq!(alice.text().await, "on its way");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_a_start_reads_what_came_since_and_not_what_ever_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = failing();
    let on = || Server::builder(settings(Some(dir.path()))).store(store.clone());
    let running = on().start().await.unwrap();
    furnish(&running).await;
    let mut agent = bind(&running, "agent1").await;
    let desks = running.desks();
    for customers in 0..50 {
        let alice = customer(&running, &format!("c{customers}")).await;
        alice.says("m", "hello").await;
        let (_, episode) = agent.given().await;
        let chat = Chat::Episode(tidings_server::core::desk::EpisodeId(episode));
        desks.act(&agent.agent, Act::Close(chat)).await.unwrap();
    }
    let alice = customer(&running, "alice").await;
    alice.says("m1", "still open").await;
    agent.given().await;
    drop((agent, alice));
    running.stop().await;
    let page = Page::Before(u64::MAX, 1);
    let rows = store.inner.history("@/demo\n@/demo", page).unwrap()[0].seq;
    assert!(rows >= 100, "{rows}");
    // What the tables of conversations had not taken yet is read by whoever makes them.
    let behind = {
        let db = rusqlite::Connection::open(dir.path().join("desk.db")).unwrap();
        let sql = "SELECT seq FROM sink WHERE name = 'database'";
        rows - db.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap()
    };
    store.rows_read.store(0, Ordering::Relaxed);
    let running = on().start().await.unwrap();
    let mut agent = bind(&running, "agent1").await;
    assert_eq!(agent.given().await, ("alice".to_owned(), 51));
    assert_eq!(agent.text().await, "still open");
    // What ended lately can still be spoken of.
    let chat = Chat::Customer("c49".into());
    let say = Act::Say {
        chat,
        id: "late".to_owned(),
        typeu: -1,
        text: "one more word".to_owned(),
        internal: false,
    };
    running.desks().act(&agent.agent, say).await.unwrap();
    running.stop().await;
    let read = store.rows_read.load(Ordering::Relaxed);
    assert!(
        read < behind + 50,
        "{read} of {rows} rows were read, {behind} of them for the first time"
    );
}

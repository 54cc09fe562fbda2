//! Every bound in one place. What a limit is for stands beside it, and after `Beyond:` what happens
//! past it; docs/limits.md is made from these lines. The unit stands in the name: bytes, `MS` and `S`
//! for milliseconds and seconds, days; the others count.

// # Frames and names

/// Longest user id, group, team or device name, in bytes of UTF-8.
/// Beyond: the login or message is refused with code 313; 422 in the API.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest message id (`fp`), in bytes. Clients send UUIDs of 36.
/// Beyond: the message is refused with code 310; 422 in the API.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;
/// Longest id of a message in the log, in bytes: an agent's own, and who he is.
/// Beyond: none is.
pub const STORED_ID_BYTES_MAX: usize = 140;
/// Longest address, in bytes: `@team/customer`, where the customer may be a visitor (`~…`).
/// Beyond: refused with 313.
pub const ADDRESS_BYTES_MAX: usize = 131;

/// Longest frame that we take from a TCP client unless `delivery.frame_bytes_max` says otherwise, and
/// longest that we ever send to a MobileIMSDK client on TCP, in bytes of JSON: what every published
/// client accepts.
/// Beyond: an incoming frame closes its connection; a message that would leave as a longer one
/// waits for another transport, and a notice says so.
pub const FRAME_BYTES_MAX: usize = 6144;
/// Longest datagram that we take, in bytes.
/// Beyond: it is dropped.
pub const DATAGRAM_BYTES_MAX: usize = 2048;
/// Longest frame pushed to a MobileIMSDK UDP client, in bytes: its receive buffer.
/// Beyond: the message waits for another transport, and a notice says so.
pub const DATAGRAM_PUSH_BYTES_MAX: usize = 1024;
/// Longest WebSocket message that we take or send, and longest frame to a TCP client with the
/// extension, in bytes.
/// Beyond: the connection is closed with code 1009; a message that no connection takes is refused
/// with code 312.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 65536;
/// Longest WebSocket message for `serve --echo`, which exists for conformance suites, in bytes.
/// Beyond: the connection is closed with code 1009.
pub const ECHO_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Longest HTTP request head of a WebSocket upgrade, in bytes.
/// Beyond: 431.
pub const UPGRADE_HEAD_BYTES_MAX: usize = 8192;
/// Objects and arrays inside one another in a member that we do not know.
/// Beyond: the frame is refused with code 317.
pub const JSON_DEPTH_MAX: usize = 64;
/// Capabilities that one login may declare.
/// Beyond: the login is refused.
pub const DECLARED_CAPS_MAX: usize = 16;
/// Header lines of a WebSocket upgrade.
/// Beyond: 431.
pub const UPGRADE_HEADERS_MAX: usize = 64;

// # Delivery

/// Messages in flight to one TCP or WebSocket session.
/// Beyond: more wait in the store.
pub const WINDOW_MESSAGES_MAX: usize = 64;
/// Bytes of frames in flight to one session.
/// Beyond: more wait in the store.
pub const WINDOW_BYTES_MAX: usize = 256 << 10;
/// First retransmission to a client after this; the wait doubles each time.
pub const RESEND_FIRST_MS: u64 = 5_000;
/// Longest wait between two retransmissions.
pub const RESEND_WAIT_MS_MAX: u64 = 60_000;
/// Times that a message is sent to a session.
/// Beyond: it waits for the next login.
pub const SENDS_PER_LOGIN_MAX: u32 = 5;
/// Logins in a row that may run through all their sends of one message, unanswered.
/// Beyond: the message is set aside for that device; history keeps it.
pub const LOGINS_UNANSWERED_MAX: u32 = 3;
/// A link that ends within this time after a message was sent, unacknowledged, counts against the
/// message: it may have killed its receiver. Not on links inside this process, and not if the client
/// logged out or an operator ended the session.
pub const LINK_END_SUSPICIOUS_MS: u64 = 10_000;
/// Links that may end so after one message; from the first on it is sent alone.
/// Beyond: it steps aside, those behind it go on, and it is tried again later.
pub const LINK_ENDS_MAX: u32 = 3;
/// Times that a message that stepped aside is tried again, alone.
/// Beyond: it is set aside for that device; history keeps it.
pub const TRIALS_MAX: u32 = 10;
/// A message that stepped aside is first tried again after this; the wait doubles each time.
pub const TRIAL_WAIT_MS: i64 = 60_000;
/// Messages of one session that have stepped aside and wait for a trial.
/// Beyond: they wait for a later login.
pub const ASIDE_MAX: usize = 16;
/// For so long nothing may be heard from a link while something is in flight.
/// Beyond: the link is closed.
pub const SILENCE_IN_FLIGHT_MS_MAX: u64 = 20_000;
/// Acknowledgements above the contiguous prefix that a cursor remembers.
/// Beyond: the oldest are kept.
pub const CURSOR_SPARSE_MAX: usize = 256;
/// Acknowledgements that arrive before their message was sent on this login, remembered.
/// Beyond: the message is sent once more.
pub const EARLY_ACKS_MAX: usize = 64;
/// Messages of one conversation, committed while a session's backlog is read, whose places are
/// remembered.
/// Beyond: those that its device had acknowledged already may be sent once more.
pub const RAISED_WHILE_READING_MAX: usize = 1024;
/// Frames of one link that wait while its login is decided. A link that can be is not read meanwhile;
/// this is for what was read together with the login.
/// Beyond: the link is closed, on WebSocket with code 1008; a datagram is dropped.
pub const HELD_FRAMES_MAX: usize = 64;
/// Bytes of such frames.
/// Beyond: as above.
pub const HELD_BYTES_MAX: usize = 64 << 10;
/// Frames of one link that wait while the application is asked about a message: from
/// [`HELD_FRAMES_MAX`] on the link is not read, and what was read already is held up to this.
/// Beyond: a stream is closed and a datagram dropped.
pub const HELD_ASKING_MAX: usize = 1024;
/// Messages of one conversation that are with the application's listener or next in line: one that
/// it cannot take keeps so much of the window from the other conversations.
/// Beyond: they wait in the store.
pub const LISTENER_PER_CONVERSATION_MAX: usize = 4;
/// Notices that wait for the application's listener.
/// Beyond: the oldest are dropped, and counted.
pub const NOTICES_MAX: usize = 4096;
/// Events that a reader inside this process has not taken.
/// Beyond: messages without QoS are dropped for it.
pub const LOCAL_EVENTS_MAX: usize = 256;
/// Messages of one session that wait for their verdict.
/// Beyond: its link is not read until some have it.
pub const UNDECIDED_PER_SESSION_MAX: usize = 256;
/// Conversations that one load from the store may touch.
/// Beyond: the next load goes on.
pub const LOAD_CONVERSATIONS_MAX: usize = 64;

// # Sessions

/// After so long without a delivery or an acknowledgement a session forgets how it received.
pub const FLOW_FADE_MS: u64 = 2_000;
/// Idle limit of a session until its own rhythm is known.
/// Beyond: the session ends.
pub const IDLE_UNKNOWN_MS: u64 = 130_000;
/// Shortest idle limit that is learned.
pub const IDLE_LEARNED_MS_MIN: u64 = 10_000;
/// For so long a connection may be without a login.
/// Beyond: it is closed.
pub const LOGIN_MS_MAX: u64 = 30_000;
/// Logins issued to one user that are remembered, to tell an old login from an invented one.
/// Beyond: the oldest is forgotten.
pub const ISSUED_LOGINS_MAX: usize = 16;
/// Devices of one user.
/// Beyond: the one that was seen longest ago is forgotten.
pub const DEVICES_PER_USER_MAX: usize = 64;
/// Sessions of one user at a time.
/// Beyond: the oldest is kicked.
pub const SESSIONS_PER_USER_MAX: usize = 16;

// # Unadmitted peers

/// Connections of one listener that have not logged in, or sent no request whose sender is known.
/// Beyond: the one that has waited longest, of the network that has most of them, is closed if it had
/// [`UNADMITTED_PATIENCE_MS`]; otherwise further ones wait in the kernel.
pub const UNADMITTED_PER_LISTENER_MAX: usize = 1024;
/// Such connections of one IPv4 address or IPv6 /64, on all listeners together. This machine itself,
/// which may be a proxy, is spared.
/// Beyond: the one that has waited longest is closed if it had [`UNADMITTED_PATIENCE_MS`], or the
/// newest.
pub const UNADMITTED_PER_NETWORK_MAX: usize = 512;
/// So long a connection may wait even where there is no room for another.
pub const UNADMITTED_PATIENCE_MS: u64 = 1_000;
/// So long a connection may be without a login, whatever it does meanwhile. Over HTTP it begins anew
/// with each answer.
/// Beyond: it is closed.
pub const UNADMITTED_MS_MAX: u64 = 30_000;
/// Longest frame from a TCP or WebSocket client before its login, in bytes.
/// Beyond: the connection is closed, on WebSocket with code 1009.
pub const UNADMITTED_FRAME_BYTES_MAX: usize = 6144;
/// Bytes of datagrams that wait while the login of a UDP client is decided whose address has proved
/// nothing yet.
/// Beyond: they are dropped.
pub const UNADMITTED_HELD_BYTES_MAX: usize = 4 << 10;
/// To a UDP address that has acknowledged nothing yet, at most so many times the bytes are sent that
/// came from it, IP and UDP headers counted.
/// Beyond: the datagram is not sent; a message is tried again, as if the network had lost it.
pub const UNPROVEN_FACTOR: u64 = 3;
/// Datagrams in a row that such addresses of one network (as above) are sent, answers to heartbeats
/// and acknowledgements of what a session sends aside. This machine itself is spared.
/// Beyond: the datagram is not sent.
pub const UNPROVEN_DATAGRAMS_PER_NETWORK: u32 = 100;
/// One more after so long.
pub const UNPROVEN_DATAGRAMS_PER_NETWORK_REFILL_MS: u64 = 100;
/// Networks of such addresses whose datagrams are counted: half of it always, twice never.
/// Beyond: those seen longest ago begin anew.
pub const UNPROVEN_NETWORKS_REMEMBERED_MAX: usize = 16_384;
/// Longest body of an OCIM request before it is known who sends it, in bytes.
/// Beyond: 413.
pub const UNADMITTED_BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes that may wait in the outbox of a connection before its login.
/// Beyond: it is not read.
pub const UNADMITTED_OUTBOX_BYTES_MAX: usize = 8 << 10;
/// Files that the store, the admin socket and the server itself may have open; half of what the
/// process may, if that is less.
/// Beyond: no connection takes them.
pub const FILES_RESERVED: usize = 128;
/// Files that are one listener's whatever the others have open.
/// Beyond: a listener takes what is free.
pub const FILES_PER_LISTENER_RESERVED: usize = 32;

// # Groups, history, queues

/// Messages to groups whose groups a shard remembers.
/// Beyond: a login during which there were more reads its backlog twice.
pub const RECENT_GROUPS_MAX: usize = 256;

/// Members of a group.
/// Beyond: it is refused: 422 in the API, a server with such a group does not start.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// Messages on one page of history.
/// Beyond: 422 in the API.
pub const HISTORY_PAGE_MAX: usize = 200;
/// Bytes that may wait in one connection's outbox.
/// Beyond: the connection is not read, and frames without QoS are dropped for it.
pub const OUTBOX_BYTES_MAX: usize = 512 << 10;
/// Bytes of messages that wait for the committer, all sessions together.
/// Beyond: nothing is read.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Records in one transaction: bounds the wait of those behind.
/// Beyond: the next transaction has them.
pub const COMMIT_RECORDS_MAX: usize = 4096;
/// A commit whose outcome is unknown is repeated after this; the wait doubles each time.
pub const COMMIT_REPEAT_MS_MIN: u64 = 10;
/// Longest wait between two attempts of one commit.
pub const COMMIT_REPEAT_MS_MAX: u64 = 1_000;

// # TLS

/// TLS handshakes that are computed at one time; fewer where there are fewer than twice as many I/O
/// threads. A turn begins when the peer's first message (its ClientHello) is there as a whole, and
/// ends with our answer: it waits for nobody.
/// Beyond: further ones wait, each network in its turn.
pub const TLS_HANDSHAKES_MAX: usize = 64;
/// Longest TLS handshake, from the connection's first moment on.
/// Beyond: it is closed.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 10_000;
/// Longest first message of a TLS peer, in bytes.
/// Beyond: the connection is closed.
pub const TLS_HELLO_BYTES_MAX: usize = 16 << 10;

// # Tokens

/// Longest token or password of a login, in bytes.
/// Beyond: the login is refused with code 321.
pub const TOKEN_BYTES_MAX: usize = 8192;
/// By so long a token's `exp` and `nbf` may miss at most: clocks differ.
/// Beyond: the setting is refused.
pub const TOKEN_LEEWAY_S_MAX: u64 = 60;
/// Keys that verify tokens at one time.
/// Beyond: those behind are not looked at.
pub const TOKEN_KEYS_MAX: usize = 32;
/// Largest file or answer with keys for tokens, in bytes.
/// Beyond: it is refused and the keys before stay.
pub const TOKEN_KEY_FILE_BYTES_MAX: usize = 256 << 10;
/// Keys are asked for at their URL no oftener, however many tokens name an unknown one.
/// Beyond: such a login is told to try again (code 323).
pub const TOKEN_KEYS_REFRESH_MS_MIN: u64 = 10_000;
/// Keys from a URL are asked for again after so long, even if none is missed.
pub const TOKEN_KEYS_REFRESH_MS: u64 = 600_000;

// # Guessing

/// Guesses from one network (an IPv4 address, an IPv6 /64) that are looked at as they come: logins that
/// failed, and those that are being looked at.
/// Beyond: its next ones wait before they are looked at.
pub const GUESSES_PER_NETWORK: u32 = 20;
/// One more guess from a network is looked at after so long.
pub const GUESSES_PER_NETWORK_REFILL_MS: u64 = 1_000;
/// The same of one account from one network.
/// Beyond: its next ones from there wait before they are looked at.
pub const GUESSES_PER_ACCOUNT: u32 = 5;
/// One more guess at an account from one network is looked at after so long.
pub const GUESSES_PER_ACCOUNT_REFILL_MS: u64 = 2_000;
/// Logins that wait to be looked at, by a hash or by the webhook.
/// Beyond: whoever has most waiting is told to try again (code 323), those who have failed before
/// others.
pub const GUESSES_WAITING_MAX: usize = 4096;
/// Those of one account from one network among them.
/// Beyond: the login is told to try again (code 323).
pub const GUESSES_WAITING_PER_ACCOUNT_MAX: usize = 16;
/// Networks, and accounts by network, whose failures are remembered: half of it always, twice never.
/// Beyond: those seen longest ago are forgotten.
pub const FAILURES_REMEMBERED_MAX: usize = 16_384;

// # Accounts

/// Longest password of an account, in bytes.
/// Beyond: the account is refused.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Passwords that were right lately and are not hashed again: half of it always, twice never.
/// Beyond: those used longest ago are hashed again.
pub const PASSWORDS_REMEMBERED_MAX: usize = 32_768;
/// For so long a password that was right is not hashed again.
pub const PASSWORD_REMEMBERED_MS: u64 = 600_000;

// # The login webhook

/// Requests to the login webhook at one time.
/// Beyond: further logins wait their turn (`GUESSES_WAITING_MAX`).
pub const WEBHOOK_CONCURRENCY_MAX: usize = 64;
/// Longest answer of the webhook, in bytes.
/// Beyond: the webhook counts as down.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 16 << 10;
/// After the webhook was found to be down, one login in so long tries it; the others are told.
pub const WEBHOOK_DOWN_RETRY_MS: u64 = 1_000;
/// Logins that the webhook let in and that are remembered: half of it always, twice never.
/// Beyond: the webhook is asked again.
pub const WEBHOOK_REMEMBERED_MAX: usize = 65_536;
/// For so long a login that the webhook let in is remembered for `allow_known`.
pub const WEBHOOK_KNOWN_MS: u64 = 24 * 60 * 60 * 1000;

// # Keys, blocks, administration

/// Keys for the API.
/// Beyond: a further one is refused.
pub const API_KEYS_MAX: usize = 1000;
/// Longest key that is looked at, in bytes.
/// Beyond: 401.
pub const API_KEY_BYTES_MAX: usize = 256;
/// Users and addresses that are blocked.
/// Beyond: a further one is refused.
pub const BLOCKS_MAX: usize = 100_000;
/// Entries of the audit trail of accounts, keys and blocks.
/// Beyond: the oldest are forgotten.
pub const AUDIT_ENTRIES_MAX: i64 = 100_000;
/// Conversations over `admin.sock` at one time.
/// Beyond: further ones wait.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Longest line on `admin.sock`, in bytes: a group with all its members.
/// Beyond: it is refused and the conversation ends.
pub const ADMIN_LINE_BYTES_MAX: usize = 2 << 20;
/// Users or groups on one page of a list over `admin.sock`.
/// Beyond: the next page goes on.
pub const ADMIN_PAGE_MAX: usize = 1000;
/// Shortest retention, in days: so long the ids of messages are known again.
/// Beyond: a shorter one is refused.
pub const RETENTION_DAYS_MIN: u32 = 7;
/// Faults that a check of the store puts into words.
/// Beyond: the others are counted.
pub const FAULTS_TOLD_MAX: usize = 100;

// # The desk

/// Skills of a tenant's desk.
/// Beyond: the setting is refused.
pub const SKILLS_MAX: usize = 128;
/// Relaxation rings of a team.
/// Beyond: the setting is refused.
pub const RINGS_MAX: usize = 8;
/// Teams of one agent.
/// Beyond: the setting is refused.
pub const TEAMS_PER_AGENT_MAX: usize = 64;
/// Deadlines that one step of a desk handles.
/// Beyond: the rest are due at its next step.
pub const DESK_DUE_PER_STEP_MAX: usize = 64;
/// Waiting customers of one class who are told their place in one step.
/// Beyond: the others follow.
pub const POSITIONS_PER_STEP_MAX: usize = 64;
/// A waiting customer's place is looked at again after so long at the earliest.
pub const POSITIONS_WAIT_MS_MIN: u64 = 1_000;
/// Between two portions of one look at the places of those who wait.
pub const POSITIONS_PORTION_MS: u64 = 20;
/// Agents are told the length of a queue again after so long at the earliest.
pub const QUEUE_LENGTH_WAIT_MS_MIN: u64 = 1_000;
/// Departures from a queue that must be known before an estimated wait is shown.
pub const ESTIMATE_SAMPLES_MIN: u64 = 20;
/// Time constant of the rate at which a queue moves.
pub const ESTIMATE_MEMORY_MS: u64 = 15 * 60_000;

/// Longest name of a tenant, team, skill or canned reply, in bytes.
/// Beyond: the setting is refused.
pub const DESK_NAME_BYTES_MAX: usize = 48;
/// Tenants of a server.
/// Beyond: the setting is refused.
pub const DESK_TENANTS_MAX: usize = 1000;
/// Teams of a tenant, and canned replies.
/// Beyond: the setting is refused.
pub const DESK_ITEMS_MAX: usize = 1000;
/// Agents of a tenant.
/// Beyond: the setting is refused.
pub const DESK_AGENTS_MAX: usize = 20_000;
/// Things that wait for one tenant's desk.
/// Beyond: they are read from the log later.
pub const DESK_INBOX_MAX: usize = 65_536;
/// Transitions of one tenant that are committed together.
/// Beyond: the next commit has them.
pub const DESK_BATCH_MAX: usize = 512;
/// Events that wait to be read by one session of an agent.
/// Beyond: the session ends, and its next one begins with what the agent serves.
pub const DESK_AGENT_EVENTS_MAX: usize = 4096;
/// Conversations of a tenant whose last agent is remembered.
/// Beyond: the one that was served longest ago gets whoever is free.
pub const DESK_FORMER_MAX: usize = 65_536;
/// Ended conversations of a tenant that can be rated, and whose messages can be recalled.
/// Beyond: those whose time ends first cannot any more.
pub const DESK_ENDED_MAX: usize = 65_536;
/// Rows of a tenant's log after which its desk, and each storage listener, is kept as it stands: a
/// start reads so many at most, and those that were cut off.
pub const DESK_SNAPSHOT_ROWS: u64 = 1_024;
/// How long an agent has no session before his customers are told that he is away: a page that is
/// loaded again takes less.
pub const AGENT_AWAY_MS: u64 = 5_000;
/// Longest remark with a transfer, and longest text of a rating, in bytes.
/// Beyond: it is refused.
pub const DESK_NOTE_BYTES_MAX: usize = 1024;

/// Longest title of a team, skill or agent, in bytes.
/// Beyond: the setting is refused.
pub const DESK_TITLE_BYTES_MAX: usize = 256;
/// Longest greeting, canned reply or other text that an operator sets, in bytes.
/// Beyond: the setting is refused.
pub const DESK_TEXT_BYTES_MAX: usize = 4096;
/// Customers that one agent may serve at once.
/// Beyond: the setting is refused.
pub const DESK_CAPACITY_MAX: u32 = 1000;
/// Longest time that an operator may set for a desk: a year.
/// Beyond: the setting is refused.
pub const DESK_TIME_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// Opening times of a team, days counted singly.
/// Beyond: the setting is refused.
pub const DESK_HOURS_MAX: usize = 64;
/// Holidays of a team, those that are over included.
/// Beyond: the setting is refused.
pub const DESK_HOLIDAYS_MAX: usize = 366;
/// Farthest local time from UTC, in minutes.
/// Beyond: the setting is refused.
pub const DESK_UTC_OFFSET_MIN_MAX: i32 = 18 * 60;
/// How long a look at a desk may take.
/// Beyond: 503.
pub const DESK_LOOK_MS_MAX: u64 = 5_000;
/// Longest text that conversations are searched for, in bytes.
/// Beyond: 422.
pub const DESK_SEARCH_BYTES_MAX: usize = 256;
/// Conversations that one search looks through.
/// Beyond: its answer says where the next goes on.
pub const DESK_SEARCH_EPISODES_MAX: usize = 5_000;
/// Messages of one conversation that are shown with it.
/// Beyond: the last ones are.
pub const DESK_RECORD_MESSAGES_MAX: usize = 1000;
/// Rows of one report.
/// Beyond: the answer says where the next page begins.
pub const DESK_REPORT_ROWS_MAX: usize = 10_000;
/// Longest time that one report may span.
/// Beyond: 422.
pub const DESK_REPORT_MS_MAX: i64 = 366 * 24 * 3_600_000;
/// Messages on one page of a customer's export.
/// Beyond: the answer says where the next page begins.
pub const DESK_EXPORT_MESSAGES_MAX: usize = 5_000;

// # The HTTP API

/// Longest head of an HTTP request, in bytes.
/// Beyond: 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 24 << 10;
/// Longest time from the first byte of a request to the end of its head.
/// Beyond: the connection is closed.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;
/// Longest time for a request's body.
/// Beyond: the connection is closed.
pub const HTTP_BODY_MS_MAX: u64 = 30_000;
/// Longest time between an answer and the next request of a connection.
/// Beyond: the connection is closed.
pub const HTTP_IDLE_MS_MAX: u64 = 60_000;
/// Longest time that the peer may need to take what it is sent.
/// Beyond: the connection is closed.
pub const HTTP_WRITE_MS_MAX: u64 = 60_000;
/// So long what still comes is read and dropped after the last answer of a connection, so that the
/// answer arrives.
pub const HTTP_LINGER_MS_MAX: u64 = 2_000;
/// Bytes that are read and dropped after the last answer of a connection.
/// Beyond: it is closed, and the peer may lose the answer.
pub const HTTP_LINGER_BYTES_MAX: usize = 16 << 20;
/// Longest body of an HTTP request, in bytes.
/// Beyond: 413.
pub const API_BODY_BYTES_MAX: usize = 1 << 20;
/// Receivers that one call of the API may name.
/// Beyond: 422.
pub const API_RECIPIENTS_MAX: usize = 1000;
/// Messages of one call with several.
/// Beyond: 422.
pub const API_BATCH_MESSAGES_MAX: usize = 1000;
/// Receivers of one page of a message to everybody (`*`).
/// Beyond: the answer says where the next begins.
pub const API_EVERYBODY_PAGE_MAX: usize = 1000;
/// Users, conversations or receivers on one page of a list.
/// Beyond: 422.
pub const API_PAGE_MAX: usize = 200;
/// Users that are looked at to fill one page of those who are not online.
/// Beyond: the page is shorter, and its `next` says where the next call goes on.
pub const API_USERS_LOOKED_AT_MAX: usize = 10_000;
/// Longest `Idempotency-Key`, in bytes.
/// Beyond: 422.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Answers remembered for their `Idempotency-Key`.
/// Beyond: the oldest are forgotten, and then the message's id, which is made from the key, keeps
/// it from being stored twice.
pub const IDEMPOTENCY_ANSWERS_MAX: usize = 10_000;
/// Bytes of answers remembered for their `Idempotency-Key`, together.
/// Beyond: the oldest are forgotten.
pub const IDEMPOTENCY_BYTES_MAX: usize = 32 << 20;
/// Calls a second of a key of the API that has no rate of its own, and of an account; twice as many in
/// a row.
/// Beyond: 429, with `Retry-After`.
pub const API_CALLS_PER_S: u32 = 1000;
/// The highest rate that a key can be given (`tidings admin key create --rate`).
/// Beyond: the key is not made.
pub const API_CALLS_PER_S_MAX: u32 = 100_000;
/// Keys of the API whose rate is remembered: half of it always, twice never.
/// Beyond: those seen longest ago begin anew.
pub const API_KEYS_SEEN_MAX: usize = 10_000;
/// Messages that are looked through, from the newest, for one whose sender and receiver are not
/// said.
/// Beyond: it is not found.
pub const SEARCH_MESSAGES_MAX: usize = 200_000;
/// Newest messages of which it is remembered when they were sent to whom.
/// Beyond: `deliveries` is null.
pub const TRAIL_MESSAGES_MAX: usize = 16_384;
/// Sessions that are remembered for each message that is followed.
/// Beyond: `deliveries` of their devices is null.
pub const TRAIL_SESSIONS_MAX: usize = 8;
/// Messages with the same id, of several senders or receivers, that a search returns.
/// Beyond: the newest are returned.
pub const SEARCH_FOUND_MAX: usize = 16;
/// Longest reason for a kick, in bytes.
/// Beyond: 422 in the API.
pub const REASON_BYTES_MAX: usize = 256;

// # OCIM

/// Longest OCIM packet, in bytes of JSON, on every transport.
/// Beyond: 413 by HTTP; a WebSocket is closed with 1009, a desktop agent's connection is closed.
pub const OCIM_PACKET_BYTES_MAX: usize = 64 << 10;
/// Longest query of an OCIM request, in bytes, still URL-encoded.
/// Beyond: 414; long packets go by POST.
pub const OCIM_QUERY_BYTES_MAX: usize = 16 << 10;
/// Parameters of such a query.
/// Beyond: 401.
pub const OCIM_QUERY_PARAMETERS_MAX: usize = 16;
/// Longest name for people, `cid`, `datetime` and `ver` of a packet, in bytes.
/// Beyond: it is refused.
pub const OCIM_NAME_BYTES_MAX: usize = 256;
/// Failures of logins on one connection of a desktop agent.
/// Beyond: it is closed.
pub const SASL_FAILURES_MAX: u32 = 5;
/// Longest message of a SASL exchange, in bytes.
/// Beyond: the login is refused.
pub const SASL_MESSAGE_BYTES_MAX: usize = 4096;
/// Packets that wait for one customer or agent.
/// Beyond: those that nothing depends on are dropped.
pub const OCIM_WAITING_PACKETS_MAX: usize = 1024;
/// Pages that poll one session: tabs of a browser.
/// Beyond: the one that did not poll for longest is forgotten; if all poll, one more is told nothing.
pub const OCIM_TABS_MAX: usize = 32;
/// So long the tabs of a session wait for one of them that has been answered and will poll again, so
/// that all get the next packets together.
/// Beyond: it gets them when it polls.
pub const OCIM_TAB_AWAITED_MS_MAX: u64 = 1_000;
/// So long a poll waits to learn whether the answer before it was written.
/// Beyond: what that answer carried comes again.
pub const OCIM_ANSWER_AWAITED_MS_MAX: u64 = 2_000;
/// Answers in a row that came to a browser by their connections and not by its cookies, and are given
/// again because something between may have lost them.
/// Beyond: the cookies of this session count no more: whoever asks sends the same ones always.
pub const OCIM_ANSWERS_AGAIN_MAX: u32 = 16;
/// Pages of other logins of a customer that were told RE_LOGIN and still poll.
/// Beyond: they are told so once more.
pub const OCIM_REPLACED_TOLD_MAX: usize = 16;
/// Customers and agents of OCIM at a time, all addresses together.
/// Beyond: 503.
pub const OCIM_SESSIONS_MAX: usize = 200_000;
/// Addresses whose visitors are counted: half of it always, twice never.
pub const OCIM_ADDRESSES_REMEMBERED_MAX: usize = 16_384;

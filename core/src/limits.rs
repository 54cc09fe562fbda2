//! Every bound in one place, with its unit last. What a limit is for, and who is refused when it
//! is reached, stands beside it; `docs/` and the tests are made from this table.

/// Longest user id, group, team or device name, in bytes of UTF-8. The login or message is refused.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest message id (`fp`), in bytes. The message is refused. Clients send 36-byte UUIDs.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;

/// Longest frame that we take from or send to a TCP client, in bytes of JSON: what every published
/// client accepts (`mobileimsdk-protocol.md` §1.1). A longer incoming frame closes its connection;
/// a message that would leave as a longer one is refused to its sender.
pub const FRAME_BYTES_MAX: usize = 6144;
/// Longest datagram that we take, in bytes (§1.2). A longer one is dropped.
pub const DATAGRAM_BYTES_MAX: usize = 2048;
/// Longest frame pushed to a MobileIMSDK UDP client, in bytes: its receive buffer.
pub const DATAGRAM_PUSH_BYTES_MAX: usize = 1024;
/// Longest WebSocket message that we take, in bytes (§1.3). A longer one closes with code 1009.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 65536;
/// The same for `serve --echo`, which exists for conformance suites.
pub const ECHO_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Longest HTTP request head of a WebSocket upgrade, in bytes; 431 beyond.
pub const UPGRADE_HEAD_BYTES_MAX: usize = 8192;
/// Objects and arrays inside one another in a member that we do not know; the frame is refused beyond.
pub const JSON_DEPTH_MAX: usize = 64;
/// Capabilities that one login may declare; the login is refused beyond.
pub const DECLARED_CAPS_MAX: usize = 16;
/// Header lines of a WebSocket upgrade; 431 beyond.
pub const UPGRADE_HEADERS_MAX: usize = 64;
/// Longest short `not logged in` answer on UDP, in bytes: no reflection.
pub const DATAGRAM_REFUSAL_BYTES_MAX: usize = 160;

/// Messages in flight to one TCP or WebSocket session; more wait in the store.
pub const WINDOW_MESSAGES_MAX: usize = 64;
/// Bytes of frames in flight to one session; more wait in the store.
pub const WINDOW_BYTES_MAX: usize = 256 << 10;
/// First retransmission to a client after this; the wait doubles each time.
pub const RESEND_FIRST_MS: u64 = 5_000;
/// Longest wait between two retransmissions.
pub const RESEND_WAIT_MS_MAX: u64 = 60_000;
/// Times that a message is sent to a session before it waits for the next login.
pub const SENDS_PER_LOGIN_MAX: u32 = 5;
/// Logins in a row that may run through all their sends of one message, unanswered, before it is
/// set aside for that device.
pub const LOGINS_UNANSWERED_MAX: u32 = 3;
/// A link from which nothing is heard for so long while something is in flight is closed.
pub const SILENCE_IN_FLIGHT_MS_MAX: u64 = 20_000;
/// Acknowledgements above the contiguous prefix that a cursor remembers; the oldest are kept.
pub const CURSOR_SPARSE_MAX: usize = 256;
/// Acknowledgements that arrive before their message was sent on this login, remembered.
pub const EARLY_ACKS_MAX: usize = 64;
/// Frames of one link that wait while its login is decided; the link is closed beyond.
pub const HELD_FRAMES_MAX: usize = 64;
/// Frames of one link that wait while the application is asked about a message; beyond
/// [`HELD_FRAMES_MAX`] the link is not read, and what was read already is held up to this. Beyond,
/// a stream is closed and a datagram dropped.
pub const HELD_ASKING_MAX: usize = 1024;
/// Messages of one conversation that are with the application's listener or next in line: one that
/// it cannot take keeps so much of the window from the other conversations.
pub const LISTENER_PER_CONVERSATION_MAX: usize = 4;
/// Notices that wait for the application's listener; the oldest are dropped beyond, and counted.
pub const NOTICES_MAX: usize = 4096;
/// Events that a reader inside this process has not taken; messages without `QoS` are dropped for
/// it beyond.
pub const LOCAL_EVENTS_MAX: usize = 256;
/// Messages of one session that wait for their verdict; its link is not read until some have it.
pub const UNDECIDED_PER_SESSION_MAX: usize = 256;
/// Conversations that one load from the store may touch.
pub const LOAD_CONVERSATIONS_MAX: usize = 64;

/// After so long without a delivery or an acknowledgement a session forgets how it received.
pub const FLOW_FADE_MS: u64 = 2_000;
/// Idle limit of a session until its own rhythm is known.
pub const IDLE_UNKNOWN_MS: u64 = 130_000;
/// Shortest idle limit that is learned.
pub const IDLE_LEARNED_MS_MIN: u64 = 10_000;
/// A connection that has not logged in after so long is closed.
pub const LOGIN_MS_MAX: u64 = 30_000;
/// Logins issued to one user that are remembered, to tell an old login from an invented one.
pub const ISSUED_LOGINS_MAX: usize = 16;
/// Devices of one user; the one that was seen longest ago is forgotten for a new one.
pub const DEVICES_PER_USER_MAX: usize = 64;
/// Sessions of one user at a time; the oldest is kicked beyond.
pub const SESSIONS_PER_USER_MAX: usize = 16;

/// Messages to groups whose groups a shard remembers; a login during which there were more reads
/// its backlog twice.
pub const RECENT_GROUPS_MAX: usize = 256;

/// Members of a group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// Messages on one page of history.
pub const HISTORY_PAGE_MAX: usize = 200;
/// Bytes that may wait in one connection's outbox; the connection is not read beyond, and frames
/// without QoS are dropped for it.
pub const OUTBOX_BYTES_MAX: usize = 512 << 10;
/// Bytes of messages that wait for the committer, all sessions together; nothing is read beyond.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 << 20;

/// TLS handshakes under way at one time; further connections wait their turn.
pub const TLS_HANDSHAKES_MAX: usize = 256;
/// Connections that wait for their turn; the newest is closed beyond.
pub const TLS_WAITING_MAX: usize = 8192;
/// A TLS handshake that takes longer is given up.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 10_000;
/// Connections over HTTPS whose handshake is done and which wait to be served.
pub const HTTPS_ACCEPTED_MAX: usize = 64;

/// Longest token or password of a login, in bytes; the login is refused.
pub const TOKEN_BYTES_MAX: usize = 8192;
/// A token's `exp` and `nbf` may miss by so long at most: clocks differ.
pub const TOKEN_LEEWAY_S_MAX: u64 = 60;
/// Keys that verify tokens at one time; those behind are not looked at.
pub const TOKEN_KEYS_MAX: usize = 32;
/// Largest file or answer with keys for tokens, in bytes; it is refused and the keys before stay.
pub const TOKEN_KEY_FILE_BYTES_MAX: usize = 256 << 10;
/// Keys are asked for at their URL no oftener, however many tokens name an unknown one.
pub const TOKEN_KEYS_REFRESH_MS_MIN: u64 = 10_000;
/// Keys from a URL are asked for again after so long, even if none is missed.
pub const TOKEN_KEYS_REFRESH_MS: u64 = 600_000;

/// Failed logins of one address that are answered at once; later ones are answered later.
pub const FAILED_LOGINS_PER_ADDRESS: u32 = 20;
/// One more after so long.
pub const FAILED_LOGINS_PER_ADDRESS_REFILL_MS: u64 = 1_000;
/// Failed logins of one user that are answered at once, from wherever they come.
pub const FAILED_LOGINS_PER_USER: u32 = 5;
/// One more after so long.
pub const FAILED_LOGINS_PER_USER_REFILL_MS: u64 = 2_000;
/// Longest delay of a refusal. Below [`LOGIN_MS_MAX`].
pub const REFUSAL_DELAY_MS_MAX: u64 = 10_000;
/// Refusals held back at one time, all addresses together; further ones are answered at once.
pub const REFUSALS_DELAYED_MAX: usize = 4096;
/// Addresses, and users, whose failures are remembered: half of it always, twice never.
pub const FAILURES_REMEMBERED_MAX: usize = 16_384;

/// Longest password of an account, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Logins that wait for the one password that is being hashed; "try again" beyond.
pub const PASSWORDS_WAITING_MAX: usize = 256;
/// Those of one address among them; its further ones wait behind everybody else's.
pub const PASSWORDS_WAITING_PER_ADDRESS_MAX: usize = 8;
/// Passwords that were right lately and are not hashed again: half of it always, twice never.
pub const PASSWORDS_REMEMBERED_MAX: usize = 32_768;
/// For so long.
pub const PASSWORD_REMEMBERED_MS: u64 = 600_000;

/// Requests to the login webhook at one time.
pub const WEBHOOK_CONCURRENCY_MAX: usize = 64;
/// Logins that wait for their turn at the webhook; "try again" beyond.
pub const WEBHOOK_WAITING_MAX: usize = 2048;
/// Those of addresses with many failed logins among them.
pub const WEBHOOK_WAITING_SUSPICIOUS_MAX: usize = 128;
/// Longest answer of the webhook, in bytes.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 16 << 10;
/// After the webhook was found to be down, one login in so long tries it; the others are told.
pub const WEBHOOK_DOWN_RETRY_MS: u64 = 1_000;
/// Logins that the webhook let in and that are remembered: half of it always, twice never.
pub const WEBHOOK_REMEMBERED_MAX: usize = 65_536;
/// For so long, for `allow_known`.
pub const WEBHOOK_KNOWN_MS: u64 = 24 * 60 * 60 * 1000;

/// Keys for the API.
pub const API_KEYS_MAX: usize = 1000;
/// Longest key that is looked at, in bytes.
pub const API_KEY_BYTES_MAX: usize = 256;
/// Users and addresses that are blocked.
pub const BLOCKS_MAX: usize = 100_000;
/// Conversations over `admin.sock` at one time.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Longest line on `admin.sock`, in bytes: a group with all its members. It is refused and the
/// conversation ends.
pub const ADMIN_LINE_BYTES_MAX: usize = 2 << 20;
/// Users or groups on one page of a list over `admin.sock`; the next page goes on.
pub const ADMIN_PAGE_MAX: usize = 1000;
/// Shortest retention, in days: so long the ids of messages are known again. A shorter one is
/// refused.
pub const RETENTION_DAYS_MIN: u32 = 7;
/// Faults that a check of the store puts into words; the others are counted.
pub const FAULTS_TOLD_MAX: usize = 100;

/// Skills of a tenant's desk. The setting is refused.
pub const SKILLS_MAX: usize = 128;
/// Relaxation rings of a team. The setting is refused.
pub const RINGS_MAX: usize = 8;
/// Teams of one agent. The setting is refused.
pub const TEAMS_PER_AGENT_MAX: usize = 64;
/// Deadlines that one step of a desk handles; the rest are due at its next step.
pub const DESK_DUE_PER_STEP_MAX: usize = 64;
/// Waiting customers of one class who are told their place in one step; the others follow.
pub const POSITIONS_PER_STEP_MAX: usize = 64;
/// A waiting customer's place is looked at again after so long at the earliest.
pub const POSITIONS_WAIT_MS_MIN: u64 = 1_000;
/// Between two portions of one such look.
pub const POSITIONS_PORTION_MS: u64 = 20;
/// Departures from a queue that must be known before an estimated wait is shown.
pub const ESTIMATE_SAMPLES_MIN: u64 = 20;
/// Time constant of the rate at which a queue moves.
pub const ESTIMATE_MEMORY_MS: u64 = 15 * 60_000;

/// Longest name of a tenant, team, skill or canned reply, in bytes. The setting is refused.
pub const DESK_NAME_BYTES_MAX: usize = 48;
/// Tenants of a server. The setting is refused.
pub const DESK_TENANTS_MAX: usize = 1000;
/// Teams of a tenant, and canned replies. The setting is refused.
pub const DESK_ITEMS_MAX: usize = 1000;
/// Agents of a tenant. The setting is refused.
pub const DESK_AGENTS_MAX: usize = 20_000;
/// What waits for one tenant's desk; what comes beyond is read from the log later.
pub const DESK_INBOX_MAX: usize = 65_536;
/// Transitions of one tenant that are committed together.
pub const DESK_BATCH_MAX: usize = 512;
/// Events that wait to be read by one session of an agent; the session ends beyond, and its next
/// one begins with what the agent serves.
pub const DESK_AGENT_EVENTS_MAX: usize = 4096;
/// Conversations of a tenant whose last agent is remembered.
pub const DESK_FORMER_MAX: usize = 1_000_000;
/// Longest remark with a transfer, and longest text of a rating, in bytes. Refused.
pub const DESK_NOTE_BYTES_MAX: usize = 1024;

/// Longest body of an HTTP request, in bytes; 413 beyond.
pub const API_BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a body above the limit that are read all the same, so that the answer arrives; the
/// connection is closed beyond.
pub const API_BODY_DRAIN_BYTES_MAX: usize = 16 << 20;
/// Receivers that one call of the API may name. The call is refused.
pub const API_RECIPIENTS_MAX: usize = 1000;
/// Receivers of one page of a message to everybody (`*`); the answer says where the next begins.
pub const API_EVERYBODY_PAGE_MAX: usize = 1000;
/// Users, conversations or receivers on one page of a list. A larger `limit` is refused.
pub const API_PAGE_MAX: usize = 200;
/// Longest `Idempotency-Key`, in bytes. The call is refused.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Answers remembered for their `Idempotency-Key`; the oldest are forgotten beyond, and then the
/// message's id, which is made from the key, keeps it from being stored twice.
pub const IDEMPOTENCY_ANSWERS_MAX: usize = 10_000;
/// Bytes of answers remembered for their `Idempotency-Key`, together; the oldest are forgotten.
pub const IDEMPOTENCY_BYTES_MAX: usize = 32 << 20;
/// Calls in a row that one key of the API may make before it must wait; 429 beyond.
pub const API_BURST_MAX: u32 = 2000;
/// One more call after so long.
pub const API_REFILL_MS: u64 = 1;
/// Keys of the API whose rate is remembered.
pub const API_KEYS_SEEN_MAX: usize = 10_000;
/// Messages that are looked through, from the newest, for one whose sender and receiver are not
/// said.
pub const SEARCH_MESSAGES_MAX: usize = 200_000;
/// Newest messages of which it is remembered when they were sent to whom.
pub const TRAIL_MESSAGES_MAX: usize = 16_384;
/// Sessions that are remembered for each of them; of those beyond, nothing is.
pub const TRAIL_SESSIONS_MAX: usize = 8;
/// Messages with the same id, of several senders or receivers, that a search returns.
pub const SEARCH_FOUND_MAX: usize = 16;
/// Longest reason for a kick, in bytes. The call is refused.
pub const REASON_BYTES_MAX: usize = 256;

/// Longest OCIM packet, in bytes of JSON, on every transport (`ocim-protocol.md` §2). 400 by HTTP;
/// a WebSocket is closed with 1009, a desktop agent's connection is closed.
pub const OCIM_PACKET_BYTES_MAX: usize = 64 << 10;
/// Longest query of an OCIM request, in bytes, still URL-encoded. The request is refused: long
/// packets go by POST.
pub const OCIM_QUERY_BYTES_MAX: usize = 16 << 10;
/// Parameters of such a query. The request is refused.
pub const OCIM_QUERY_PARAMETERS_MAX: usize = 16;
/// Longest name for people, `cid`, `datetime` and `ver` of a packet, in bytes. It is refused.
pub const OCIM_NAME_BYTES_MAX: usize = 256;
/// Longest remark of a transfer, in bytes. The transfer is refused.
pub const OCIM_REMARK_BYTES_MAX: usize = 2048;
/// Failures of logins on one connection of a desktop agent; it is closed then.
pub const SASL_FAILURES_MAX: u32 = 5;
/// Longest message of a SASL exchange, in bytes. The login is refused.
pub const SASL_MESSAGE_BYTES_MAX: usize = 4096;
/// Packets that wait for one customer or agent; those that nothing depends on are dropped beyond.
pub const OCIM_WAITING_PACKETS_MAX: usize = 1024;
/// Customers and agents of OCIM at a time, all addresses together; 503 beyond.
pub const OCIM_SESSIONS_MAX: usize = 200_000;
/// Anonymous visitors of one address that are let in at once; 429 beyond.
pub const OCIM_VISITORS_PER_ADDRESS: u32 = 60;
/// One more after so long.
pub const OCIM_VISITORS_REFILL_MS: u64 = 1_000;
/// Addresses whose visitors are counted: half of it always, twice never.
pub const OCIM_ADDRESSES_REMEMBERED_MAX: usize = 16_384;

//! Every number of the MobileIMSDK protocol (`docs/protocol.md` §3 and §4), our refusals included.

/// Type of a frame, client to server: log in.
pub const LOGIN: i32 = 0;
/// Type, client to server: sign of life; answered with [`KEEPALIVE_ANSWER`].
pub const KEEPALIVE: i32 = 1;
/// Type, both ways: a message.
pub const COMMON_DATA: i32 = 2;
/// Type, client to server: log out; the server closes without an answer.
pub const LOGOUT: i32 = 3;
/// Type, both ways: acknowledgement; `dataContent` is the bare id (`fp`) of the acknowledged frame.
pub const RECEIVED: i32 = 4;
/// Type, client to server: send this back; answered with [`ECHO_ANSWER`], logged in or not.
pub const ECHO: i32 = 5;
/// Type, server to client: answer to [`LOGIN`].
pub const LOGIN_ANSWER: i32 = 50;
/// Type, server to client: answer to [`KEEPALIVE`].
pub const KEEPALIVE_ANSWER: i32 = 51;
/// Type, server to client: an error, as `{"errorCode":n,"errorMsg":s}`.
pub const ERROR: i32 = 52;
/// Type, server to client: answer to [`ECHO`].
pub const ECHO_ANSWER: i32 = 53;
/// Type, server to client: this login ended, as `{"code":n,"reason":s?}`.
pub const KICKOUT: i32 = 54;

/// Code: all is well; of a login answer: logged in.
pub const OK: i32 = 0;
/// Code: not logged in. Declared by MobileIMSDK, used by nobody.
pub const CLIENT_NOT_LOGGED_IN: i32 = 1;
/// Code: unknown error.
pub const UNKNOWN_ERROR: i32 = 2;
/// Code, made inside clients: could not be sent.
pub const SEND_FAILED: i32 = 3;
/// Code, made inside clients: not a valid frame object.
pub const INVALID_FRAME: i32 = 4;
/// Code, made inside clients: the link to the server is broken.
pub const LINK_BROKEN: i32 = 201;
/// Code, made inside clients: cannot connect.
pub const CANNOT_CONNECT: i32 = 202;
/// Code, made inside clients: the SDK is not initialised.
pub const NOT_INITIALISED: i32 = 203;
/// Code, made inside mobile clients: no network.
pub const NO_NETWORK: i32 = 204;
/// Code, made inside clients: no server address is set.
pub const NO_SERVER_ADDRESS: i32 = 205;
/// Code of a type-52 frame: not logged in, log in again.
pub const NOT_LOGGED_IN: i32 = 301;
/// Smallest code for a login refused by the application; below lies the framework's range.
pub const APPLICATION_CODE_MIN: i32 = 1025;

/// Code of a type-52 frame, ours: a message with `QoS` has no id (`fp`).
pub const REFUSED_NO_ID: i32 = 310;
/// Code, ours: the id was already used by this sender to this address for other content.
pub const REFUSED_CONFLICT: i32 = 311;
/// Code, ours: the message would leave as a longer frame than any connection takes.
pub const REFUSED_TOO_LARGE: i32 = 312;
/// Code, ours: the address breaks a rule, or nobody has it.
pub const REFUSED_ADDRESS: i32 = 313;
/// Code, ours: the sender is not a member of the group.
pub const REFUSED_NOT_MEMBER: i32 = 314;
/// Code, ours: it cannot be stored now; try again later.
pub const REFUSED_STORE: i32 = 315;
/// Code, ours: the receiver's inbox or a queue is full.
pub const REFUSED_FULL: i32 = 316;
/// Code, ours: the frame cannot be read.
pub const REFUSED_FRAME: i32 = 317;
/// Code, ours: this session may not do that, or is one too many.
pub const REFUSED_SESSION: i32 = 318;
/// Code, ours, a notice and not an error: a message waits that is too large for this transport.
pub const NOTICE_WAITING: i32 = 319;
/// Code, ours: the application did not answer in time or failed; try again later.
pub const REFUSED_LISTENER: i32 = 320;

/// Code of a login answer, ours: the token or password is not right for this user.
pub const REFUSED_TOKEN: i32 = 321;
/// Code of a login answer, ours: the token was right once or will be: it has expired, or is not
/// valid yet. A client gets itself a new one.
pub const REFUSED_EXPIRED: i32 = 322;
/// Code of a login answer, ours: logins cannot be verified now (too many at once, or whoever
/// verifies them does not answer). A client tries again.
pub const REFUSED_BUSY: i32 = 323;
/// Code of a login answer, ours: this user or this address is blocked.
pub const REFUSED_BLOCKED: i32 = 324;

/// `typeu` of what a desk tells a customer beside its messages: JSON, `docs/protocol.md`. Only for
/// sessions that declare `desk`; everybody else's cursor passes over it. This and the following
/// mean something only on messages from or to an `@` address.
pub const DESK_NOTICE: i32 = 400;
/// `typeu` of a team's greeting.
pub const DESK_TEAM_GREETING: i32 = 401;
/// `typeu` of an agent's greeting.
pub const DESK_AGENT_GREETING: i32 = 402;
/// `typeu` of a message that was recalled or erased; its text is gone.
pub const DESK_RECALLED: i32 = 403;
/// `typeu` of what a team says when nobody may come now: what the customer wrote is kept and will be
/// answered. A text for every session.
pub const DESK_LEFT: i32 = 404;
/// `typeu` of a picture: the text is its URL (OCIM IMAGE).
pub const DESK_IMAGE: i32 = 410;
/// `typeu` of a card about an order (OCIM ORDER).
pub const DESK_ORDER: i32 = 411;
/// `typeu` of a card about goods (OCIM GOODS).
pub const DESK_GOODS: i32 = 412;
/// `typeu` of a card about a delivery (OCIM LOGISTICS).
pub const DESK_LOGISTICS: i32 = 413;
/// `typeu` of a robot's text (OCIM ROBOT).
pub const DESK_ROBOT: i32 = 414;
/// `typeu` of a note that only agents see.
pub const DESK_NOTE: i32 = 420;
/// `typeu` of the transitions of a desk, in the tenant's own log. No session gets them.
pub const DESK_RECORD: i32 = 430;

/// Reason that a listener is told for a session that ended without a kick.
pub const KICK_NONE: i32 = -1;
/// Kick code: the same user logged in elsewhere.
pub const KICK_DUPLICATE_LOGIN: i32 = 1;
/// Kick code: an administrator ended the session.
pub const KICK_BY_ADMIN: i32 = 2;
/// Applications choose their own kick codes above this one.
pub const KICK_RESERVED_MAX: i32 = 100;

//! A web application with an instant-messaging server in it: MobileIMSDK's well-known demo inside
//! a Spring Boot application, in Rust.
//!
//! `cargo run -p tidings-server --example embed`, then open <http://127.0.0.1:8088/docs/>: log in
//! with `loginConnect`, send with `sendMsg` (to yourself is fine), and see on the terminal what the
//! callbacks of server and client saw. Messages are kept in `embed-data`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_client::{Client, Event, Events};
use tidings_server::config::Settings;
use tidings_server::core::ids::Name;
use tidings_server::core::message::MessageRef;
use tidings_server::hooks::{Asks, Before, Ended, LoginRequest, NotNow, Proposed, SessionInfo};
use tidings_server::{Listener, Running, Server};

/// What the listener answers to a wrong password: the application's codes begin at 1025.
const WRONG_PASSWORD: i32 = 1025;

/// Where the callbacks say what they saw.
pub type Say = Arc<dyn Fn(String) + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let web: SocketAddr = match std::env::args().nth(1) {
        Some(address) => address.parse()?,
        None => SocketAddr::from(([127, 0, 0, 1], 8088)),
    };
    let mut settings = Settings {
        data: PathBuf::from("embed-data"),
        ..Settings::default()
    };
    settings.listen.http = None; // the application has its own
    settings.listen.agents = None;
    let app = App::start(settings, Arc::new(|line| println!("{line}"))).await?;
    let listener = tokio::net::TcpListener::bind(web).await?;
    println!("Swagger page: http://{}/docs/", listener.local_addr()?);
    axum::serve(listener, app.routes())
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    app.stop().await;
    Ok(())
}

/// The server's callbacks.
struct Callbacks {
    say: Say,
}

impl Callbacks {
    fn saw(&self, what: String) {
        (self.say)(format!("server: {what}"));
    }
}

impl Listener for Callbacks {
    async fn verify_login(&self, login: &LoginRequest) -> i32 {
        // A real application looks into its database.
        let right = !login.token.is_empty();
        self.saw(format!(
            "verify {}: {}",
            login.user,
            if right { "ok" } else { "no" }
        ));
        if right { 0 } else { WRONG_PASSWORD }
    }

    async fn logged_in(&self, session: &Arc<SessionInfo>) {
        self.saw(format!("{} logged in", session.user));
    }

    async fn logged_out(&self, session: &Arc<SessionInfo>, ended: Ended) {
        self.saw(format!(
            "{} logged out, code {}",
            session.user, ended.kick_code
        ));
    }

    async fn before_client_to_client(&self, message: &Proposed) -> Before {
        if message.text.contains("spam") {
            return Before::Refuse {
                code: 1026,
                text: "no spam here".to_owned(),
            };
        }
        Before::Take
    }

    fn asks(&self) -> Asks {
        Asks {
            client_to_server: false,
            client_to_client: true,
        }
    }

    async fn message_to_server(&self, message: &MessageRef) -> Result<(), NotNow> {
        self.saw(format!("{} to the server: {}", message.from, message.body));
        Ok(())
    }

    async fn message_relayed(&self, message: &MessageRef) {
        let (from, to, text) = (&message.from, &message.to, &message.body);
        self.saw(format!("{from} to {to}: {text}"));
    }

    async fn not_deliverable_now(&self, message: &MessageRef) {
        let (from, to, text) = (&message.from, &message.to, &message.body);
        self.saw(format!("{from} to {to}, later: {text}"));
    }

    async fn acknowledged(&self, message: &MessageRef, user: &Name) {
        self.saw(format!("{user} has the server's message: {}", message.body));
    }
}

/// The web application: a server and the clients that were logged in through it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    running: Mutex<Option<Running>>,
    /// Where its clients connect.
    url: String,
    say: Say,
    /// Who logged in last, and sends.
    current: Mutex<Option<Client>>,
}

#[derive(Deserialize)]
struct LoginConnect {
    username: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendMsg {
    friend_id: String,
    msg: String,
}

type Answer = (StatusCode, Json<Value>);

impl App {
    /// Starts the server.
    pub async fn start(settings: Settings, say: Say) -> Result<App, Box<dyn std::error::Error>> {
        let callbacks = Callbacks { say: say.clone() };
        let running = Server::builder(settings)
            .listener(callbacks)
            .start()
            .await?;
        let tcp = running.addresses().tcp.ok_or("listen.tcp is off")?;
        Ok(App(Arc::new(Inner {
            running: Mutex::new(Some(running)),
            url: format!("tcp://{tcp}"),
            say,
            current: Mutex::new(None),
        })))
    }

    /// The calls and their Swagger page.
    pub fn routes(&self) -> Router {
        let page = utoipa_swagger_ui::SwaggerUi::new("/docs")
            .external_url_unchecked("/openapi.json", description());
        Router::new()
            .route("/api/loginConnect", post(login_connect))
            .route("/api/sendMsg", post(send_msg))
            .with_state(self.clone())
            .merge(page)
    }

    /// Logs the client out and stops the server.
    pub async fn stop(&self) {
        let client = self.0.current.lock().take();
        if let Some(client) = client {
            client.close().await;
        }
        let running = self.0.running.lock().take();
        if let Some(running) = running {
            running.stop().await;
        }
    }
}

async fn login_connect(State(app): State<App>, Query(login): Query<LoginConnect>) -> Answer {
    let connected = Client::builder(&app.0.url)
        .user(&login.username)
        .token(login.password)
        .connect()
        .await;
    let (client, mut events) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            return (
                StatusCode::BAD_REQUEST,
                Json(json!({"error": error.to_string()})),
            );
        }
    };
    loop {
        match events.next().await {
            Some(Event::LoggedIn { .. }) => break,
            Some(Event::Refused { code }) => {
                return (StatusCode::UNAUTHORIZED, Json(json!({ "code": code })));
            }
            Some(_) => {} // the first attempt failed; it tries again
            None => {
                let problem = json!({"error": "the client ended"});
                return (StatusCode::BAD_GATEWAY, Json(problem));
            }
        }
    }
    let say = app.0.say.clone();
    tokio::spawn(client_callbacks(login.username, events, say));
    *app.0.current.lock() = Some(client);
    (StatusCode::OK, Json(json!({"code": 0})))
}

/// The client's callbacks.
async fn client_callbacks(user: String, mut events: Events, say: Say) {
    while let Some(event) = events.next().await {
        let saw = match event {
            Event::Message(message) => format!("message from {}: {}", message.from, message.text),
            Event::Acknowledged { id, .. } => format!("acknowledged {id}"),
            Event::Lost { id } => format!("lost {id}"),
            Event::Error { code, text } => format!("error {code}: {text}"),
            Event::Kicked { code, .. } => format!("kicked, code {code}"),
            other => format!("{other:?}"),
        };
        say(format!("client {user}: {saw}"));
    }
}

async fn send_msg(State(app): State<App>, Query(send): Query<SendMsg>) -> Answer {
    let client = app.0.current.lock().clone();
    let Some(client) = client else {
        let problem = json!({"error": "call loginConnect first"});
        return (StatusCode::CONFLICT, Json(problem));
    };
    match client.send(&send.friend_id, send.msg).await {
        Ok(id) => (StatusCode::OK, Json(json!({ "id": &*id }))),
        Err(error) => (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": error.to_string()})),
        ),
    }
}

/// The OpenAPI description.
fn description() -> Value {
    let parameter = |name: &str, about: &str, example: &str| {
        json!({"name": name, "in": "query", "required": true, "description": about,
               "schema": {"type": "string"}, "example": example})
    };
    let answers = |ok: &str| json!({"200": {"description": ok}, "400": {"description": "Why not"}});
    json!({
        "openapi": "3.0.3",
        "info": {"title": "An application with Tidings in it", "version": "1"},
        "paths": {
            "/api/loginConnect": {"post": {
                "summary": "Connects a client to the server in this process, and logs it in.",
                "parameters": [
                    parameter("username", "Who", "alice"),
                    parameter("password", "Anything but nothing", "secret"),
                ],
                "responses": answers("Logged in"),
            }},
            "/api/sendMsg": {"post": {
                "summary": "Sends a message in the name of who logged in last.",
                "parameters": [
                    parameter("friendId", "To whom; also to oneself, or to 0, the server", "alice"),
                    parameter("msg", "The text", "hello"),
                ],
                "responses": answers("Under way, with this id"),
            }},
        },
    })
}

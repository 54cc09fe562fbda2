//! The client for Tidings and for any other server that speaks the MobileIMSDK v6 protocol.
//!
//! It logs in over TCP, UDP or WebSocket, stays logged in, sends each message until it is
//! acknowledged, in order for each receiver, and shows each message once. With an outbox file all
//! of that holds across restarts of the application.
//!
//! ```no_run
//! use tidings_client::{Client, Event};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut events) = Client::builder("tcp://127.0.0.1:8901")
//!     .user("alice")
//!     .outbox("alice.outbox")
//!     .connect()
//!     .await?;
//! let hello = client.send("bob", "hello").await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Acknowledged { id, .. } if id == hello => println!("on disk at the server"),
//!         Event::Message(message) => println!("{}: {}", message.from, message.text),
//!         Event::LinkLost { reason } => eprintln!("{reason}, trying again"),
//!         Event::Refused { code } => return Err(format!("login refused: {code}").into()),
//!         Event::Kicked { .. } => break,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The decisions are made by [`machine`], which knows neither sockets nor time; `driver` runs one
//! machine for each client.

mod builder;
mod client;
mod driver;
mod error;
mod event;
mod journal;
mod link;
pub mod machine;

pub use builder::Builder;
pub use client::{Client, Events, Message};
pub use error::{ConnectError, OutboxError, SendError};
pub use event::{Event, Incoming};

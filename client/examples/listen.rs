//! Prints what comes in, and shows nothing twice, whatever happens to the link or to itself.
//!
//! `cargo run -p tidings-client --example listen -- udp://127.0.0.1:7901 bob`

use tidings_client::{Client, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, user] = &arguments[..] else {
        return Err("two arguments: server, user".into());
    };
    let builder = Client::builder(server).user(user);
    let builder = builder.outbox(format!("{user}.outbox"));
    let (_client, mut events) = builder.connect().await?;
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) => println!("{}: {}", message.from, message.text),
            Event::Refused { code } => return Err(format!("refused: {code}").into()),
            Event::Kicked { .. } => break,
            other => eprintln!("{other:?}"),
        }
    }
    Ok(())
}

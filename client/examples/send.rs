//! Sends one message and waits until the server has it on disk.
//!
//! `cargo run -p tidings-client --example send -- tcp://127.0.0.1:8901 alice bob "hello"`

use tidings_client::{Client, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, user, to, text] = &arguments[..] else {
        return Err("four arguments: server, user, receiver, text".into());
    };
    let (client, mut events) = Client::builder(server).user(user).connect().await?;
    let sent = client.send(to, text).await?;
    while let Some(event) = events.next().await {
        match event {
            Event::Acknowledged { id, seq } if id == sent => {
                println!("{id} is number {seq:?} of its conversation");
                break;
            }
            Event::Lost { .. } | Event::Refused { .. } => return Err("not taken".into()),
            other => eprintln!("{other:?}"),
        }
    }
    client.close().await;
    Ok(())
}

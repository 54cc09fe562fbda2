//! A WebSocket once it is open: RFC 6455 by our own codec, packets in and out, for customers and
//! agents alike.
//!
//! Old pages acknowledge nothing. So behind the packets goes a ping whose payload numbers the last
//! of them; browsers answer pings by themselves, and only that answer makes a packet delivered.

use std::future::Future;
use std::io;
use std::time::Duration;

use tidings_core::limits;
use tidings_core::wire::ocim::{BodyType, Packet, PacketType, decode, encode};
use tidings_core::wire::websocket::{Decoder, Event, Opcode, Role, encode_close, encode_frame};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::line::{Done, Line};

/// Read at once.
const READ_BYTES: usize = 4096;
/// For so long the other side may read what it was sent last.
const LINGER: Duration = Duration::from_secs(2);
/// `Going away`: the close code for whoever is silent.
const GONE_SILENT: u16 = 1001;
/// `Unsupported data`.
const NOT_TEXT: u16 = 1003;

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    End,
}

/// One end of the conversation: a customer or an agent.
pub(super) trait Talker: Send + Sync {
    /// What waits to be sent.
    fn line(&self) -> &Line;
    /// Something is known to have arrived.
    fn done(&self, done: &Done);
    /// A packet came.
    fn on(&self, packet: Packet) -> impl Future<Output = Flow> + Send;
}

/// The answer to PING: the time as text.
pub(super) fn pong(now_ms: i64) -> Packet {
    Packet::new(PacketType::Pong).body(BodyType::Text, now_ms.to_string())
}

/// Something of the other side's was not done.
pub(super) fn refusal(of: &Packet, kind: PacketType, reason: &str) -> Packet {
    let packet = Packet {
        pid: of.pid.clone(),
        cid: of.cid.clone(),
        ..Packet::new(kind)
    };
    packet.from_sys().body(BodyType::Fail, reason)
}

struct Socket<I> {
    io: I,
    decoder: Decoder,
    read: Vec<u8>,
    write: Vec<u8>,
    /// Number of the last packet that was written.
    written: u64,
    heard: Instant,
    idle: Duration,
}

/// Talks until either side ends it. `idle` is how long the other side may be silent; it is pinged at
/// half of it.
pub(super) async fn serve<I, T>(io: I, talker: &T, idle: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin,
    T: Talker,
{
    let mut socket = Socket {
        io,
        decoder: Decoder::new(Role::Server, limits::OCIM_PACKET_BYTES_MAX),
        read: Vec::new(),
        write: Vec::new(),
        written: 0,
        heard: Instant::now(),
        idle,
    };
    if let Err(error) = socket.talk(talker).await {
        tracing::debug!(%error, "a WebSocket of OCIM broke");
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Socket<I> {
    async fn talk<T: Talker>(&mut self, talker: &T) -> io::Result<()> {
        let mut ping_at = Instant::now() + self.idle / 2;
        loop {
            self.queue(talker);
            let over = talker.line().is_closed();
            if over {
                self.close(Some(1000), "");
            }
            self.flush().await?;
            if over {
                return linger(&mut self.io).await;
            }
            let silent_at = self.heard + self.idle;
            tokio::select! {
                read = read_more(&mut self.io, &mut self.read) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.heard = Instant::now();
                    if self.take(talker).await == Flow::End {
                        self.queue(talker);
                        self.flush().await?;
                        return linger(&mut self.io).await;
                    }
                }
                () = talker.line().changed() => {}
                () = tokio::time::sleep_until(ping_at.min(silent_at)) => {
                    if Instant::now() >= silent_at {
                        self.close(Some(GONE_SILENT), "nothing was heard for ocim.idle_ms");
                        self.flush().await?;
                        return linger(&mut self.io).await;
                    }
                    self.ping();
                    ping_at = Instant::now() + self.idle / 2;
                }
            }
        }
    }

    /// Puts what waits into frames, and a ping behind it.
    fn queue<T: Talker>(&mut self, talker: &T) {
        let items = talker.line().unsent();
        let Some(last) = items.last() else {
            return;
        };
        self.written = last.seq;
        let mut json = Vec::new();
        for item in &items {
            json.clear();
            encode(&item.packet, &mut json);
            encode_frame(Opcode::Text, true, None, &json, &mut self.write);
        }
        self.ping();
    }

    fn ping(&mut self) {
        let payload = self.written.to_be_bytes();
        encode_frame(Opcode::Ping, true, None, &payload, &mut self.write);
    }

    fn close(&mut self, code: Option<u16>, reason: &str) {
        encode_close(code, reason, None, &mut self.write);
    }

    /// Whoever does not take what he is sent for so long is gone.
    async fn flush(&mut self) -> io::Result<()> {
        if self.write.is_empty() {
            return Ok(());
        }
        let all = async {
            self.io.write_all(&self.write).await?;
            self.io.flush().await
        };
        let within = tokio::time::timeout(self.idle, all).await;
        within.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.write.clear();
        Ok(())
    }

    /// Takes every frame that is there.
    async fn take<T: Talker>(&mut self, talker: &T) -> Flow {
        let mut bytes = std::mem::take(&mut self.read);
        let mut at = 0;
        let flow = loop {
            let (event, used) = match self.decoder.next(&mut bytes[at..]) {
                Ok(next) => next,
                Err(error) => {
                    self.close(Some(error.code()), &error.to_string());
                    break Flow::End;
                }
            };
            at += used;
            let flow = match event {
                None => break Flow::On,
                Some(Event::Text(text)) => match decode(text.as_bytes()) {
                    Ok(packet) => talker.on(packet).await,
                    Err(error) => {
                        let told = Packet::new(PacketType::Chatting).from_sys();
                        let told = told.body(BodyType::Fail, error.to_string());
                        talker.line().push(told, Done::Nothing);
                        Flow::On
                    }
                },
                Some(Event::Binary(_)) => {
                    self.close(Some(NOT_TEXT), "packets are text");
                    Flow::End
                }
                Some(Event::Ping(payload)) => {
                    encode_frame(Opcode::Pong, true, None, payload, &mut self.write);
                    Flow::On
                }
                Some(Event::Pong(payload)) => {
                    let number = payload.try_into().map(u64::from_be_bytes);
                    let arrived = number.unwrap_or(0).min(self.written);
                    for done in talker.line().confirm(arrived) {
                        talker.done(&done);
                    }
                    Flow::On
                }
                Some(Event::Close { code, .. }) => {
                    self.close(code, "");
                    Flow::End
                }
            };
            if flow == Flow::End {
                break Flow::End;
            }
        };
        bytes.drain(..at.min(bytes.len()));
        self.read = bytes;
        flow
    }
}

/// Nothing more is sent. What still comes is read and dropped for a moment: a connection that is
/// closed with something unread is reset, and the other side may lose what it was sent last.
pub(super) async fn linger<I: AsyncRead + AsyncWrite + Unpin>(io: &mut I) -> io::Result<()> {
    io.shutdown().await?;
    let rest = async {
        let mut dropped = [0; READ_BYTES];
        while io.read(&mut dropped).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(LINGER, rest).await.unwrap_or(Ok(()))
}

/// Appends what there is; safe to give up between two reads.
async fn read_more<I: AsyncRead + Unpin>(io: &mut I, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(READ_BYTES);
    io.read_buf(buffer).await
}

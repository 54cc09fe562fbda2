//! Desktop agents over TCP: a length in four bytes, then a packet; SASL inside AUTH packets.
//!
//! The client says AUTH/LOGIN with `{"mechanism":…,"data":BASE64}`. Challenges and answers to them
//! are AUTH/RESPONSE with BASE64, the end is AUTH/SUCCESS (with SCRAM's last message as BASE64) or
//! AUTH/FAIL with the reason; AUTH/ABORT ends everything.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::mobileimsdk::tcp;
use tidings_core::wire::ocim::sasl::{self, Mechanism, Start, Waiting, parse_first, parse_plain};
use tidings_core::wire::ocim::{BodyType, Packet, PacketError, PacketType, decode, encode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::Ocim;
use super::agents::Agent;
use super::authorization::Login;
use super::upgraded::{Flow, Talker, linger, pong, refusal};
use super::websocket::NO_AGENT;
use crate::auth::{Door, Presented, ScramUser, Verdict};
use crate::gate::Place;

/// Read at once.
const READ_BYTES: usize = 4096;

/// One connection.
struct Desktop<I> {
    io: I,
    read: Vec<u8>,
    write: Vec<u8>,
    /// Longest packet.
    bytes_max: usize,
}

/// What a login has come to.
enum Stage {
    /// Nothing was said, or what was said was wrong.
    Open,
    /// SCRAM's challenge is out.
    Challenged(Box<Challenge>),
}

struct Challenge {
    user: Name,
    address: IpAddr,
    keys: ScramUser,
    waiting: Waiting,
}

/// Where a step of a login leads.
enum Next {
    Stage(Stage),
    /// He is who he says; what SUCCESS says.
    In(Login, String),
    /// For people.
    Refused(String),
}

/// Serves one connection from `address` until it ends. `safe`: nobody else can read along, so that a
/// password itself may be said.
pub(crate) async fn serve<I>(ocim: Arc<Ocim>, io: I, (address, safe): (IpAddr, bool), place: Place)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let seat = match ocim.customers.enter(address) {
        Ok(seat) => seat,
        Err(full) => return tracing::debug!(%address, %full, "an agent is not let in"),
    };
    let mut desktop = Desktop {
        io,
        read: Vec::new(),
        write: Vec::new(),
        bytes_max: limits::UNADMITTED_FRAME_BYTES_MAX,
    };
    let within = Duration::from_millis(limits::LOGIN_MS_MAX);
    let login = desktop.log_in(&ocim, address, safe);
    let talked = match tokio::time::timeout(within, Box::pin(login)).await {
        Ok(Ok(Some(login))) => {
            place.admit();
            desktop.bytes_max = limits::OCIM_PACKET_BYTES_MAX;
            desktop.talk(ocim, &login).await
        }
        Ok(other) => other.map(drop),
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    };
    if let Err(error) = talked {
        tracing::debug!(%address, %error, "a desktop agent's connection broke");
    }
    let _ = linger(&mut desktop.io).await; // the other side may be gone already
    drop(seat);
}

impl<I: AsyncRead + AsyncWrite + Unpin> Desktop<I> {
    /// A packet that is there already. A length that no packet has is an error: what follows cannot
    /// be read.
    fn take(&mut self) -> Result<Option<Result<Packet, PacketError>>, tcp::FramingError> {
        let (packet, used) = match tcp::next(&self.read, self.bytes_max)? {
            tcp::Step::Frame { body, used } => (decode(body), used),
            tcp::Step::Need(_) => return Ok(None),
        };
        self.read.drain(..used);
        Ok(Some(packet))
    }

    /// The next packet; `None` at the end of the connection.
    async fn packet(&mut self) -> io::Result<Option<Result<Packet, PacketError>>> {
        loop {
            match self.take() {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {}
                Err(error) => {
                    self.refuse(&error.to_string()).await?;
                    return Ok(None);
                }
            }
            if read_more(&mut self.io, &mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn queue(&mut self, packet: &Packet) {
        let at = self.write.len();
        self.write.extend_from_slice(&[0; 4]);
        encode(packet, &mut self.write);
        let length = u32::try_from(self.write.len() - at - 4).unwrap_or(u32::MAX);
        if let Some(prefix) = self.write.get_mut(at..at + 4) {
            prefix.copy_from_slice(&length.to_be_bytes());
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.io.write_all(&self.write).await?;
        self.io.flush().await?;
        self.write.clear();
        Ok(())
    }

    async fn send(&mut self, packet: &Packet) -> io::Result<()> {
        self.queue(packet);
        self.flush().await
    }

    async fn refuse(&mut self, reason: &str) -> io::Result<()> {
        let told = Packet::new(PacketType::Auth).from_sys();
        self.send(&told.body(BodyType::Fail, reason)).await
    }

    /// Until somebody has logged in; `None` if the connection ends before.
    async fn log_in(
        &mut self,
        ocim: &Ocim,
        address: IpAddr,
        safe: bool,
    ) -> io::Result<Option<Login>> {
        let first = Duration::from_millis(ocim.settings.first_data_ms);
        let read = tokio::time::timeout(first, read_more(&mut self.io, &mut self.read)).await;
        if read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
            return Ok(None);
        }
        let mut stage = Stage::Open;
        let mut failures = 0;
        while failures < limits::SASL_FAILURES_MAX {
            let packet = match self.packet().await? {
                None => return Ok(None),
                Some(Ok(packet)) => packet,
                Some(Err(error)) => {
                    failures += 1;
                    self.refuse(&error.to_string()).await?;
                    continue;
                }
            };
            if packet.kind == PacketType::Ping {
                self.send(&pong(ocim.wall_ms())).await?;
                continue;
            }
            if (packet.kind, packet.body_kind()) == (PacketType::Auth, Some(BodyType::Abort)) {
                self.refuse("aborted").await?;
                return Ok(None);
            }
            let before = std::mem::replace(&mut stage, Stage::Open);
            match step(ocim, address, safe, before, &packet).await {
                Next::Stage(next) => {
                    if let Stage::Challenged(challenge) = &next {
                        self.send(&response(&challenge.waiting)).await?;
                    }
                    stage = next;
                }
                Next::In(login, words) => {
                    let told = Packet::new(PacketType::Auth).from_sys();
                    self.send(&told.body(BodyType::Success, words)).await?;
                    return Ok(Some(login));
                }
                Next::Refused(reason) => {
                    failures += 1;
                    self.refuse(&reason).await?;
                }
            }
        }
        Ok(None)
    }

    /// After the login. What was written in full counts as arrived: the kernel has it, and nothing
    /// in this protocol says more.
    async fn talk(&mut self, ocim: Arc<Ocim>, login: &Login) -> io::Result<()> {
        let idle = Duration::from_millis(ocim.settings.idle_ms);
        let Some(agent) = Agent::new(ocim, login) else {
            return self.refuse(NO_AGENT).await;
        };
        let mut heard = Instant::now();
        loop {
            while let Some(packet) = self.take().transpose() {
                let flow = match packet {
                    Ok(Ok(packet)) => agent.on(packet).await,
                    Ok(Err(error)) => {
                        let of = Packet::new(PacketType::Chatting);
                        let told = refusal(&of, PacketType::Chatting, &error.to_string());
                        self.send(&told).await?;
                        Flow::On
                    }
                    Err(error) => return self.refuse(&error.to_string()).await,
                };
                if flow == Flow::End {
                    break;
                }
            }
            let items = agent.line().unsent();
            for item in &items {
                self.queue(&item.packet);
            }
            let written = tokio::time::timeout(idle, self.flush()).await;
            written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if let Some(last) = items.last() {
                for done in agent.line().confirm(last.seq) {
                    agent.done(&done);
                }
            }
            if agent.line().is_closed() {
                return Ok(());
            }
            tokio::select! {
                read = read_more(&mut self.io, &mut self.read) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    heard = Instant::now();
                }
                () = agent.line().changed() => {}
                () = tokio::time::sleep_until(heard + idle) => return Ok(()),
            }
        }
    }
}

/// SCRAM's challenge, as a packet.
fn response(waiting: &Waiting) -> Packet {
    let message = sasl::encode(waiting.challenge());
    let told = Packet::new(PacketType::Auth).from_sys();
    told.body(BodyType::Response, message)
}

/// One step of a login.
async fn step(ocim: &Ocim, address: IpAddr, safe: bool, stage: Stage, packet: &Packet) -> Next {
    match (packet.kind, packet.body_kind(), stage) {
        (PacketType::Auth, Some(BodyType::Login), _) => match Start::parse(packet.content()) {
            Ok(start) => match start.mechanism {
                Mechanism::Plain => plain(ocim, address, safe, &start.data).await,
                Mechanism::ScramSha256 => scram(ocim, address, &start.data).await,
            },
            Err(error) => Next::Refused(error.to_string()),
        },
        (PacketType::Auth, Some(BodyType::Response), Stage::Challenged(challenge)) => {
            prove(ocim, *challenge, packet.content()).await
        }
        _ => Next::Refused("log in first: AUTH with a body of type LOGIN".to_owned()),
    }
}

async fn plain(ocim: &Ocim, address: IpAddr, safe: bool, message: &[u8]) -> Next {
    if !safe {
        let reason = "PLAIN is taken over TLS or from this machine only: use SCRAM-SHA-256";
        return Next::Refused(reason.to_owned());
    }
    let plain = match parse_plain(message) {
        Ok(plain) => plain,
        Err(reason) => return Next::Refused(reason.to_owned()),
    };
    let presented = Presented::Password {
        user: Name::from(&*plain.user),
        password: plain.password,
    };
    let admitted = ocim.access.admit(Door::SaslPlain, Some(address), presented);
    admit(admitted.await, address, "验证成功".to_owned())
}

async fn scram(ocim: &Ocim, address: IpAddr, message: &[u8]) -> Next {
    let first = match parse_first(message) {
        Ok(first) => first,
        Err(error) => return Next::Refused(sasl::encode(error.message())),
    };
    let user = Name::from(&*first.user);
    let keys = match ocim.access.scram(&user).await {
        Ok(keys) => keys,
        Err(error) => return Next::Refused(error.to_string()),
    };
    let nonce = crate::auth::nonce();
    let waiting = first.challenge(keys.keys.clone(), &nonce);
    Next::Stage(Stage::Challenged(Box::new(Challenge {
        user,
        address,
        keys,
        waiting,
    })))
}

async fn prove(ocim: &Ocim, challenge: Challenge, content: &str) -> Next {
    let Challenge {
        user,
        address,
        keys,
        waiting,
    } = challenge;
    let proof = match sasl::decode(content) {
        Ok(proof) => proof,
        Err(error) => return Next::Refused(error.to_string()),
    };
    let outcome = waiting.finish(&proof);
    let presented = Presented::Proof {
        user,
        with: &keys,
        right: outcome.is_ok(),
    };
    let admitted = ocim.access.admit(Door::SaslScram, Some(address), presented);
    let admitted = admitted.await;
    match outcome {
        // Whoever knows the password and is refused all the same hears what others hear.
        Ok(_) if admitted.is_err() => Next::Refused(sasl::encode("e=invalid-proof")),
        Ok(last) => admit(admitted, address, sasl::encode(&last)),
        Err(error) => Next::Refused(sasl::encode(error.message())),
    }
}

fn admit(admitted: Verdict, address: IpAddr, words: String) -> Next {
    match admitted {
        Ok(admitted) => {
            let login = Login {
                admitted,
                address,
                name: String::new(),
                status: None,
            };
            Next::In(login, words)
        }
        Err(_) => Next::Refused("user or password is wrong".to_owned()),
    }
}

async fn read_more<I: AsyncRead + Unpin>(io: &mut I, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(READ_BYTES);
    io.read_buf(buffer).await
}

//! A TCP connection, plain or with TLS, with a buffer for each direction.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::Target;
use super::tls::Tls;

const READ_BYTES: usize = 16 << 10;

pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Tls>,
    input: Vec<u8>,
    /// So much of `input` was used.
    used: usize,
    output: Vec<u8>,
    /// So much of `output` was sent.
    sent: usize,
}

impl Stream {
    pub(super) async fn open(target: &Target) -> io::Result<Stream> {
        let socket = TcpStream::connect(target.address()).await?;
        socket.set_nodelay(true)?;
        let config = target.tls.clone();
        let tls = config.map(|config| Tls::new(config, &target.host));
        Ok(Stream {
            socket,
            tls: tls.transpose()?,
            input: Vec::new(),
            used: 0,
            output: Vec::new(),
            sent: 0,
        })
    }

    pub(super) async fn turn(&mut self, reading: bool) -> io::Result<()> {
        // A handshake goes on whether or not anybody wants to read yet.
        let reading = reading || self.tls.as_ref().is_some_and(Tls::is_handshaking);
        let interest = match (reading, self.must_write()) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        let ready = self.socket.ready(interest).await?;
        if ready.is_writable() {
            self.write()?;
        }
        if reading && ready.is_readable() {
            self.read()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(unsent) = self.output.get(self.sent..)
            && !unsent.is_empty()
        {
            let outcome = match &mut self.tls {
                None => self.socket.try_write(unsent),
                Some(tls) => tls.write(&self.socket, unsent),
            };
            match outcome {
                // The handshake is not done, and what it had to say is said.
                Ok(0) if self.tls.is_some() => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.output.shrink_to(READ_BYTES);
        self.sent = 0;
        match &mut self.tls {
            Some(tls) if tls.owes() => match tls.write(&self.socket, &[]) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.input.drain(..self.used);
        self.used = 0;
        let outcome = match &mut self.tls {
            None => read_plain(&self.socket, &mut self.input),
            Some(tls) => tls.read(&self.socket, &mut self.input),
        };
        match outcome {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What came in and was not used.
    pub(super) fn input(&self) -> &[u8] {
        self.input.get(self.used..).unwrap_or_default()
    }

    /// The same for decoders that unmask in place.
    pub(super) fn input_mut(&mut self) -> &mut [u8] {
        self.input.get_mut(self.used..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.input.len());
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn unsent(&self) -> usize {
        let encrypted = self.tls.as_ref().is_some_and(Tls::owes);
        self.output.len() - self.sent + usize::from(encrypted)
    }

    /// Whether the socket has to be writable: during a handshake only what that has to say can go.
    fn must_write(&self) -> bool {
        match &self.tls {
            Some(tls) if tls.is_handshaking() => tls.owes(),
            _ => self.unsent() > 0,
        }
    }

    /// Nothing follows what is queued.
    pub(super) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye();
        }
    }
}

fn read_plain(socket: &TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
    let end = input.len();
    input.resize(end + READ_BYTES, 0);
    let outcome = socket.try_read(input.get_mut(end..).unwrap_or_default());
    input.truncate(end + outcome.as_ref().copied().unwrap_or(0));
    outcome
}

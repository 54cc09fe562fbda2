//! A TCP connection with a buffer for each direction.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 << 10;

pub(super) struct Stream {
    socket: TcpStream,
    input: Vec<u8>,
    /// So much of `input` was used.
    used: usize,
    output: Vec<u8>,
    /// So much of `output` was sent.
    sent: usize,
}

impl Stream {
    pub(super) async fn open(address: (&str, u16)) -> io::Result<Stream> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Stream {
            socket,
            input: Vec::new(),
            used: 0,
            output: Vec::new(),
            sent: 0,
        })
    }

    pub(super) async fn turn(&mut self, reading: bool) -> io::Result<()> {
        let interest = match (reading, self.unsent() > 0) {
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
            match self.socket.try_write(unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.output.shrink_to(READ_BYTES);
        self.sent = 0;
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        self.input.drain(..self.used);
        self.used = 0;
        let end = self.input.len();
        self.input.resize(end + READ_BYTES, 0);
        let place = self.input.get_mut(end..).unwrap_or_default();
        let outcome = self.socket.try_read(place);
        self.input
            .truncate(end + outcome.as_ref().copied().unwrap_or(0));
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
        self.output.len() - self.sent
    }
}

//! The terminal: set up, given back whatever happens, and the loop between it, the client and the
//! [`Model`].

use std::io::{self, Stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event as TerminalEvent, KeyEventKind,
};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;
use ratatui::style::Color;
use tidings_client::{Client, Events};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::ChatArgs;
use super::draw::draw;
use super::model::{Effect, Input, Link, Model};
use crate::listen::stopped;

/// Between two pictures, so that a flood of messages does not become one of bytes over a slow line.
const FRAME: Duration = Duration::from_millis(30);
/// Keys that wait; a paste may be many.
const KEYS_MAX: usize = 256;

pub(super) async fn run(
    args: &ChatArgs,
    client: &Client,
    events: Events,
) -> anyhow::Result<ExitCode> {
    let screen = Screen::open().context("cannot use the terminal")?;
    let size = screen.terminal.size()?;
    let size = Size::new(size.width, size.height);
    let session = Session {
        model: Model::new(&args.target.user, &args.target.server, &args.peers, size),
        screen,
        client,
        events,
        keys: keys()?,
        drawn: None,
    };
    session.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// A terminal in full-screen mode; dropping it gives the terminal back.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    colours: bool,
}

impl Screen {
    fn open() -> io::Result<Screen> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // First, or its words would go to a screen that vanishes.
            restore();
            before(panic);
        }));
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        // From here on its end restores the terminal, also if one of the next steps fails.
        let screen = Screen { terminal, colours };
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        Ok(screen)
    }

    fn draw(&mut self, model: &Model) -> io::Result<()> {
        let colours = self.colours;
        self.terminal.draw(|frame| {
            draw(frame, model);
            if !colours {
                for cell in &mut frame.buffer_mut().content {
                    (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
                }
            }
        })?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// As far as it goes: a terminal that is gone needs none of it. Once: a panic restores it before its
/// words are printed, and they are not to be overwritten.
fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        crossterm::cursor::Show
    );
    let _ = disable_raw_mode();
}

/// A thread that waits for keys; it ends with the terminal or with the process.
fn keys() -> io::Result<mpsc::Receiver<io::Result<TerminalEvent>>> {
    let (key, keys) = mpsc::channel(KEYS_MAX);
    std::thread::Builder::new().spawn(move || {
        loop {
            let event = crossterm::event::read();
            let last = event.is_err();
            if key.blocking_send(event).is_err() || last {
                break;
            }
        }
    })?;
    Ok(keys)
}

struct Session<'a> {
    model: Model,
    screen: Screen,
    client: &'a Client,
    events: Events,
    keys: mpsc::Receiver<io::Result<TerminalEvent>>,
    drawn: Option<Instant>,
}

impl Session<'_> {
    async fn run(mut self) -> anyhow::Result<()> {
        // The wait for the next attempt to log in counts down.
        let mut second = interval(Duration::from_millis(500));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stopped();
        tokio::pin!(stopped);
        let mut stale = true;
        loop {
            let due = self.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
            let input = tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                key = self.keys.recv() => match key {
                    Some(event) => read(event.context("the terminal is gone")?),
                    None => return Ok(()),
                },
                () = sleep_until(due), if stale => {
                    self.picture()?;
                    stale = false;
                    continue;
                }
                event = self.events.next() => match event {
                    Some(event) => Some(Input::Client(event)),
                    None => anyhow::bail!("the client ended"),
                },
                _ = second.tick() => {
                    stale |= matches!(self.model.link, Link::Lost { .. });
                    continue;
                }
            };
            let Some(input) = input else { continue };
            stale = true;
            let effect = self.model.on(now_ms(), input);
            if let Some(effect) = effect
                && !self.carry_out(effect).await
            {
                return Ok(());
            }
        }
    }

    fn picture(&mut self) -> io::Result<()> {
        let rest = self.client.next_attempt_in();
        self.model.on(now_ms(), Input::Resting(rest));
        self.screen.draw(&self.model)?;
        self.drawn = Some(Instant::now());
        Ok(())
    }

    /// Answers with whether it goes on.
    async fn carry_out(&mut self, effect: Effect) -> bool {
        let input = match effect {
            Effect::Quit => return false,
            Effect::LogIn => match self.client.log_in(None).await {
                Ok(()) => return true,
                Err(error) => Input::LogInFailed(error.to_string()),
            },
            Effect::Send { peer, number, text } => {
                let sent = self.client.send(&peer, text).await;
                let outcome = sent
                    .map(|id| id.to_string())
                    .map_err(|error| error.to_string());
                Input::Handed {
                    peer,
                    number,
                    outcome,
                }
            }
        };
        self.model.on(now_ms(), input);
        true
    }
}

fn read(event: TerminalEvent) -> Option<Input> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => Some(Input::Key(key)),
        TerminalEvent::Paste(text) => Some(Input::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Input::Resize(Size::new(width, height))),
        _ => None,
    }
}

fn now_ms() -> i64 {
    // A clock before 1970 is as good as none.
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    passed.map_or(0, |passed| {
        i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
    })
}

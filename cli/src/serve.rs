//! `tidings serve`: settings from everywhere, the server, the signals that change and end it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use tidings_server::config::{self, Compat, ConfigError, Given, Log, LogFormat, Settings};
use tidings_server::{Addresses, Running, Server};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload as exchange};

/// What `tidings serve` takes. All but the hidden ones are also keys of the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The configuration file; config/default.toml shows every key
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG")]
    config: Option<PathBuf>,
    /// Where messages are kept [default: tidings-data]
    #[arg(long, value_name = "DIR", value_parser = allowed("data"))]
    data: Option<String>,
    /// MobileIMSDK over TCP [default: 127.0.0.1:8901]
    #[arg(long, value_name = "ADDR|off", value_parser = allowed("listen.tcp"))]
    tcp: Option<String>,
    /// MobileIMSDK over UDP [default: 127.0.0.1:7901]
    #[arg(long, value_name = "ADDR|off", value_parser = allowed("listen.udp"))]
    udp: Option<String>,
    /// MobileIMSDK over WebSocket, path /websocket [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR|off", value_parser = allowed("listen.ws"))]
    ws: Option<String>,
    /// The HTTP API, /healthz, /readyz and /metrics [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR|off", value_parser = allowed("listen.http"))]
    http: Option<String>,
    /// OCIM's desktop agents [default: 127.0.0.1:6067]
    #[arg(long, value_name = "ADDR|off", value_parser = allowed("listen.agents"))]
    agents: Option<String>,
    /// What an acknowledgement means: on disk (default), given to the OS, or in memory only
    #[arg(long, value_name = "disk|os|memory", value_parser = allowed("delivery.durability"))]
    durability: Option<String>,
    /// How long a graceful stop may take, in milliseconds [default: 10000]
    #[arg(long, value_name = "N", value_parser = allowed("shutdown_ms"))]
    shutdown_ms: Option<String>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = allowed("log.level"))]
    log_level: Option<String>,
    /// human or json [default: human]
    #[arg(long, value_name = "FORMAT", value_parser = allowed("log.format"))]
    log_format: Option<String>,
    /// A support desk to try out: team support, agents agent1, agent2 and boss with password demo;
    /// takes what OCIM's demo pages do, also on port 6066 if that is free
    #[arg(long)]
    demo: bool,
    /// Starts although acknowledged messages or changes are missing or damaged on the disk, and goes
    /// on without them. For one start, after a copy of the data directory was put aside
    #[arg(long)]
    accept_loss: bool,
    /// Adds the WebSocket path /echo, for conformance suites
    #[arg(long, hide = true)]
    echo: bool,
    /// Prints config/default.toml and ends
    #[arg(long, hide = true)]
    print_config: bool,
}

/// Where OCIM's demo pages look for their server.
const DEMO_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6066);

/// Takes what the configuration key takes, so that a mistake is a usage error.
fn allowed(key: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| config::check(key, text).map(|()| text.to_owned())
}

impl ServeArgs {
    fn settings(&self) -> Result<Settings, ConfigError> {
        let options = [
            ("data", "--data", &self.data),
            ("listen.tcp", "--tcp", &self.tcp),
            ("listen.udp", "--udp", &self.udp),
            ("listen.ws", "--ws", &self.ws),
            ("listen.http", "--http", &self.http),
            ("listen.agents", "--agents", &self.agents),
            ("delivery.durability", "--durability", &self.durability),
            ("shutdown_ms", "--shutdown-ms", &self.shutdown_ms),
            ("log.level", "--log-level", &self.log_level),
            ("log.format", "--log-format", &self.log_format),
        ];
        let given: Vec<Given<'_>> = options
            .iter()
            .filter_map(|(key, name, value)| {
                let value = value.as_deref()?;
                Some(Given { key, name, value })
            })
            .collect();
        let mut settings = Settings::load(self.config.as_deref(), environment(), &given)?;
        settings.echo = self.echo;
        settings.accept_loss = self.accept_loss;
        settings.demo = self.demo;
        if self.demo {
            settings.ocim.compat = Compat {
                credentials_in_url: true,
                send_by_get: true,
                any_origin: true,
                waitting: true,
            };
            let free = |address: &SocketAddr| std::net::TcpListener::bind(address).is_ok();
            settings.listen.ocim = settings.listen.ocim.or(Some(DEMO_PORT).filter(free));
            settings.validate()?;
        }
        Ok(settings)
    }
}

/// The process's variables.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        (text(name), text(value))
    })
}

/// Runs the command until a signal ends the server.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    if args.print_config {
        std::io::stdout().write_all(Settings::default_file().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = args.settings()?;
    let log = log_to_stderr(&settings.log);
    let ignored = Settings::ignored_variables(environment());
    if !ignored.is_empty() {
        let variables = ignored.join(" ");
        tracing::info!(variables, "passed over: no settings of the server");
    }
    raise_open_files();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no threads for the server")?
        .block_on(serve(args, settings, &log))?;
    Ok(ExitCode::SUCCESS)
}

/// From start to the signal that ends it.
async fn serve(args: &ServeArgs, settings: Settings, log: &LogFilter) -> anyhow::Result<()> {
    // Before the start: a signal that arrives while it starts must not be missed.
    let mut signals = Signals::new().context("signals cannot be caught")?;
    let mut running = Server::builder(settings).start().await?;
    announce(running.addresses());
    loop {
        match signals.next().await {
            Signal::Reload => reload(args, &mut running, log).await,
            Signal::Stop(signal) => {
                tracing::info!(signal, "stopping");
                break;
            }
        }
    }
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the settings again. Names keys and not their values: some are secrets.
async fn reload(args: &ServeArgs, running: &mut Running, log: &LogFilter) {
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!(%error, "the settings stay as they were");
            return;
        }
    };
    let level = settings.log.clone();
    let changes = match running.reload(settings).await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(%error, "the settings stay as they were");
            return;
        }
    };
    if let Err(error) = log.reload(filter(&level)) {
        tracing::error!(%error, "log.level stays as it was");
    }
    for change in &changes {
        match change.live {
            true => tracing::info!(key = change.key, "changed"),
            false => tracing::warn!(key = change.key, "needs a restart"),
        }
    }
    let changed = changes.iter().filter(|change| change.live).count();
    let needs_restart = changes.len() - changed;
    tracing::info!(changed, needs_restart, "the settings were read again");
}

/// The one line on standard output: everything is bound.
fn announce(addresses: &Addresses) {
    let mut line = String::from("ready");
    let mut add = |name: &str, address: Option<SocketAddr>| {
        if let Some(address) = address {
            line.push_str(&format!(" {name}={address}"));
        }
    };
    add("tcp", addresses.tcp);
    add("udp", addresses.udp);
    add("ws", addresses.ws);
    add("http", addresses.http);
    add("ocim", addresses.ocim);
    add("agents", addresses.agents);
    line.push('\n');
    let mut out = std::io::stdout().lock();
    // Whoever started us may not care to read it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// What of the log is wanted; can be exchanged.
type LogFilter = exchange::Handle<Targets, Registry>;

/// Where each message is told at every stage.
const MESSAGES: &str = "tidings::message";

fn filter(log: &Log) -> Targets {
    let level: LevelFilter = log.level.parse().unwrap_or(LevelFilter::INFO);
    let messages = match log.messages {
        true => LevelFilter::DEBUG,
        false => LevelFilter::OFF,
    };
    Targets::new()
        .with_default(level)
        .with_target(MESSAGES, messages)
}

fn log_to_stderr(log: &Log) -> LogFilter {
    let (filter, handle) = exchange::Layer::new(filter(log));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // Fails only if somebody else has set a subscriber: in this process nobody has.
    let _ = match log.format {
        LogFormat::Human => registry
            .with(layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())))
            .try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    handle
}

/// Every connection is an open file; the soft limit is often 1024.
fn raise_open_files() {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// What a signal wants.
enum Signal {
    Reload,
    Stop(&'static str),
}

/// What wakes the server's owner.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

/// What wakes the server's owner.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::Stop("interrupt")
    }
}

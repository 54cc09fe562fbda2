//! `tidings serve`: settings from everywhere, the server, the signals that end it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use tidings_server::config::{self, ConfigError, Given, LogFormat, Settings};
use tidings_server::{Addresses, Server};
use tracing::level_filters::LevelFilter;

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
    /// /healthz and /readyz [default: 127.0.0.1:8080]
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
    /// Adds the WebSocket path /echo, for conformance suites
    #[arg(long, hide = true)]
    echo: bool,
    /// Prints config/default.toml and ends
    #[arg(long, hide = true)]
    print_config: bool,
}

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
        let environment = std::env::vars_os().map(|(name, value)| {
            let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        let mut settings = Settings::load(self.config.as_deref(), environment, &given)?;
        settings.echo = self.echo;
        Ok(settings)
    }
}

/// Runs the command until a signal ends the server.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    if args.print_config {
        std::io::stdout().write_all(Settings::default_file().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = args.settings()?;
    log_to_stderr(&settings);
    raise_open_files();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no threads for the server")?
        .block_on(serve(settings))?;
    Ok(ExitCode::SUCCESS)
}

/// From start to the signal that ends it.
async fn serve(settings: Settings) -> anyhow::Result<()> {
    // Before the start: a signal that arrives while it starts must not be missed.
    let mut signals = Signals::new().context("signals cannot be caught")?;
    let running = Server::start(settings).await?;
    announce(running.addresses());
    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
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
    add("agents", addresses.agents);
    line.push('\n');
    let mut out = std::io::stdout().lock();
    // Whoever started us may not care to read it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn log_to_stderr(settings: &Settings) {
    let level: LevelFilter = settings.log.level.parse().unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level);
    // Fails only if somebody else has set a subscriber: in this process nobody has.
    let _ = match settings.log.format {
        LogFormat::Human => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Every connection is an open file; the soft limit is often 1024.
fn raise_open_files() {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// What ends the server.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What ends the server.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> &'static str {
        let _ = tokio::signal::ctrl_c().await;
        "interrupt"
    }
}

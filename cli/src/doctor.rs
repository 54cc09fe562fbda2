//! `tidings doctor`: what would keep the server from running well here, and what to do about it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidings_server::auth;
use tidings_server::config::{AuthMode, Settings};
use tidings_server::store::Durability;
use tidings_server::tls::{read_pair, validity};

/// Below this there is not room for more than a small office.
const OPEN_FILES_MIN: u64 = 4_096;
/// Room for 100,000 connections.
const OPEN_FILES_GOOD: u64 = 110_000;
/// Syncs that are timed.
const SYNCS: usize = 20;
/// Above this an acknowledgement takes long for people.
const SYNC_SLOW: Duration = Duration::from_millis(25);
/// Below this nothing can have reached a disk.
const SYNC_UNBELIEVABLE: Duration = Duration::from_micros(15);
/// 2025-01-01: before it this program did not exist.
const CLOCK_MIN_S: i64 = 1_735_689_600;
/// A certificate that ends so soon should be renewed.
const RENEW_DAYS: i64 = 14;
const DAY_S: i64 = 24 * 60 * 60;

/// Checks this machine and the configuration, and says what to do
///
/// Exit code 1 if something is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The configuration file that the server gets
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory, if it is not the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    wrong: usize,
    doubtful: usize,
}

impl Report {
    fn fine(&self, what: &str) {
        println!("ok       {what}");
    }

    fn doubtful(&mut self, what: &str, advice: &str) {
        self.doubtful += 1;
        println!("careful  {what}\n         → {advice}");
    }

    fn wrong(&mut self, what: &str, advice: &str) {
        self.wrong += 1;
        println!("WRONG    {what}\n         → {advice}");
    }
}

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs) -> ExitCode {
    let mut report = Report::default();
    let environment = std::env::vars_os().map(|(name, value)| {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    match Settings::load(args.config.as_deref(), environment, &[]) {
        Ok(mut settings) => {
            report.fine("configuration");
            if let Some(data) = &args.data {
                settings.data.clone_from(data);
            }
            open_files(&mut report);
            clock(&mut report);
            data(&mut report, &settings);
            ports(&mut report, &settings);
            certificates(&mut report, &settings);
            logins(&mut report, &settings);
            proxies(&mut report, &settings);
        }
        Err(error) => report.wrong(
            &format!("configuration: {error}"),
            "mend that line; nothing else was looked at",
        ),
    }
    match (report.wrong, report.doubtful) {
        (0, 0) => println!("all is well"),
        (0, n) => println!("nothing is wrong; careful with {n}"),
        (n, _) => println!("{n} wrong"),
    }
    ExitCode::from(u8::from(report.wrong > 0))
}

fn open_files(report: &mut Report) {
    let advice = "each connection needs one: raise it, as LimitNOFILE=1048576 in a systemd unit or \
                  --ulimit nofile=1048576 for a container";
    match rlimit::Resource::NOFILE.get() {
        // The server raises the soft limit to the hard one by itself.
        Ok((_, hard)) if hard >= OPEN_FILES_GOOD => {
            report.fine(&format!("open files: {hard} at most"));
        }
        Ok((_, hard)) if hard >= OPEN_FILES_MIN => {
            report.doubtful(&format!("open files: {hard} at most"), advice);
        }
        Ok((_, hard)) => report.wrong(&format!("open files: only {hard} at most"), advice),
        Err(error) => report.doubtful(&format!("open files: unknown: {error}"), advice),
    }
}

fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

fn clock(report: &mut Report) {
    let advice = "set it, and keep it right with chrony or systemd-timesyncd: tokens and \
                  certificates are judged by it";
    if now_s() < CLOCK_MIN_S {
        return report.wrong("clock: it shows a year before 2025", advice);
    }
    // It must not stand still or jump while we look.
    let (wall, steady) = (SystemTime::now(), Instant::now());
    std::thread::sleep(Duration::from_millis(200));
    let passed = wall.elapsed().unwrap_or_default();
    let difference = passed.abs_diff(steady.elapsed());
    if difference > Duration::from_millis(100) {
        return report.wrong(
            &format!("clock: it jumps, by {difference:?} just now"),
            advice,
        );
    }
    report.fine("clock");
}

/// The directory, or the one that it would be made in.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find(|p| p.is_dir());
    found.map_or(absolute.clone(), Path::to_owned)
}

fn data(report: &mut Report, settings: &Settings) {
    if settings.delivery.durability == Durability::Memory {
        return report.doubtful(
            "data: delivery.durability = \"memory\"",
            "messages are lost when the server ends; \"disk\" keeps them",
        );
    }
    let dir = existing(&settings.data);
    let shown = settings.data.display();
    #[cfg(unix)]
    if dir.ends_with(&settings.data) || dir == settings.data {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&dir).map(|meta| meta.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            let what = format!("data: other users of this machine can look into {shown}");
            report.doubtful(&what, &format!("chmod 700 {shown}"));
        }
    }
    match sync_times(&dir) {
        Ok(mut times) => {
            times.sort_unstable();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            let what = format!("data: {shown}: a sync takes {median:?}, {worst:?} at worst");
            if median > SYNC_SLOW {
                let advice = "every acknowledgement waits for one: use a disk of this machine, an \
                              SSD if you can; no network file system";
                report.doubtful(&what, advice);
            } else if median < SYNC_UNBELIEVABLE {
                let advice = "no disk is so fast: if this is a RAM disk, or one that does not \
                              sync, a power cut loses acknowledged messages";
                report.doubtful(&what, advice);
            } else {
                report.fine(&what);
            }
        }
        Err(error) => report.wrong(
            &format!("data: {} cannot be written: {error}", dir.display()),
            "check its owner, its permissions, its free space and the mount",
        ),
    }
}

fn sync_times(dir: &Path) -> std::io::Result<Vec<Duration>> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let measure = || {
        let mut file = File::options().write(true).create_new(true).open(&path)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            file.write_all(&[7; 4096])?;
            let start = Instant::now();
            file.sync_data()?;
            times.push(start.elapsed());
        }
        Ok(times)
    };
    let outcome = measure();
    let _ = fs::remove_file(&path);
    outcome
}

fn ports(report: &mut Report, settings: &Settings) {
    let tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let running = is_running(&settings.data);
    for (key, address) in settings.listen.all() {
        let Some(address) = address else { continue };
        let outcome = if key == "listen.udp" {
            udp(address)
        } else {
            tcp(address)
        };
        let Err(error) = outcome else {
            report.fine(&format!("port: {key} = {address} is free"));
            continue;
        };
        let what = format!("port: {key} = {address}: {error}");
        match error.kind() {
            std::io::ErrorKind::AddrInUse if running => {
                report.fine(&format!(
                    "port: {key} = {address} is taken; a server runs on this data"
                ));
            }
            std::io::ErrorKind::AddrInUse => report.wrong(
                &what,
                &format!("find out who has it (ss -lntup), stop it, or set {key} to another port"),
            ),
            std::io::ErrorKind::PermissionDenied => report.wrong(
                &what,
                "ports below 1024 are for root: choose a higher one, or give the program \
                 CAP_NET_BIND_SERVICE",
            ),
            _ => report.wrong(&what, "is this an address of this machine?"),
        }
    }
}

#[cfg(unix)]
fn is_running(data: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(data.join("admin.sock")).is_ok()
}

#[cfg(not(unix))]
fn is_running(_data: &Path) -> bool {
    false
}

fn certificates(report: &mut Report, settings: &Settings) {
    let (Some(cert_file), Some(key_file)) = (&settings.tls.cert_file, &settings.tls.key_file)
    else {
        if let Some((key, address)) = settings.listen.public() {
            report.doubtful(
                &format!("certificates: none, and other machines can connect to {key} = {address}"),
                "everybody on the way can read along: set tls.cert_file and tls.key_file, or let a \
                 proxy on this machine do TLS and listen on 127.0.0.1",
            );
        }
        return;
    };
    let pair = match read_pair(cert_file, key_file) {
        Ok(pair) => pair,
        Err(error) => {
            let advice = "set tls.cert_file and tls.key_file to a pair as PEM; \
                          tidings admin cert --out DIR makes one for trying out";
            return report.wrong(&format!("certificates: {error}"), advice);
        }
    };
    let shown = cert_file.display();
    for (place, certificate) in pair.cert.iter().enumerate() {
        match validity(certificate) {
            Ok((from, until)) => judge_validity(report, &format!("{shown} ({place})"), from, until),
            Err(error) => report.wrong(&format!("certificates: {shown}: {error}"), "get a new one"),
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(key_file).map(|meta| meta.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o007 != 0) {
            let path = key_file.display();
            let what = format!("certificates: everybody on this machine can read {path}");
            report.doubtful(&what, &format!("chmod 600 {path}"));
        }
    }
}

fn judge_validity(report: &mut Report, what: &str, from: i64, until: i64) {
    let now = now_s();
    let days = (until - now) / DAY_S;
    if now < from {
        report.wrong(
            &format!("certificates: {what} is not valid yet"),
            "check the clock; or wait",
        );
    } else if now >= until {
        report.wrong(
            &format!("certificates: {what} has expired"),
            "renew it; the server reads the new files by itself",
        );
    } else if days < RENEW_DAYS {
        report.doubtful(
            &format!("certificates: {what} expires in {days} days"),
            "renew it; the server reads the new files by itself",
        );
    } else {
        report.fine(&format!("certificates: {what} is valid for {days} days"));
    }
}

/// Whoever may be a proxy may say where he comes from.
fn proxies(report: &mut Report, settings: &Settings) {
    let everywhere = ["192.0.2.1", "2001:db8::1"];
    let everywhere = everywhere.iter().filter_map(|text| text.parse().ok());
    for address in everywhere {
        let trusted = settings.auth.trusted_proxies.iter();
        if let Some(network) = trusted.clone().find(|n| n.contains(address)) {
            report.wrong(
                &format!("proxies: auth.trusted_proxies holds {network}, which is everybody"),
                "name the addresses of your proxies: whoever is in it escapes blocks and limits",
            );
        }
    }
}

fn logins(report: &mut Report, settings: &Settings) {
    match settings.auth.mode {
        AuthMode::Open if settings.auth.allow_open_on_public => report.doubtful(
            "logins: anybody can log in as anybody, from other machines, too",
            "set auth.mode, unless the network is trusted",
        ),
        AuthMode::Open => report.fine("logins: open, from this machine only"),
        AuthMode::Jwt => match auth::check_keys(settings) {
            Ok(count) => report.fine(&format!("logins: {count} keys for tokens")),
            Err(error) => report.wrong(
                &format!("logins: {error}"),
                "check auth.jwt.key_file or auth.jwt.jwks, and auth.jwt.algorithm",
            ),
        },
        AuthMode::Webhook if settings.auth.webhook.allow_http => report.doubtful(
            "logins: by a webhook that may be asked over plain http",
            "anybody on the way reads tokens and lets in whom he likes: use https, unless the \
             network between is yours",
        ),
        AuthMode::Webhook => {
            report.fine("logins: by the webhook, which was not asked");
        }
        AuthMode::Accounts => report.fine("logins: by accounts (tidings admin account list)"),
    }
}

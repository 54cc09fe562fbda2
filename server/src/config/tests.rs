use std::path::Path;

use super::*;

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    file::apply(Path::new("t.toml"), text, &mut settings)?;
    settings.validate()?;
    Ok(settings)
}

fn load(environment: &[(&str, &str)], given: &[Given<'_>]) -> Result<Settings, ConfigError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Settings::load(None, environment.iter().map(own), given)
}

/// The text of the error that a file gives.
fn complaint(text: &str) -> String {
    from_file(text).unwrap_err().to_string()
}

#[test]
fn the_committed_file_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/default.toml");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == Settings::default_file(),
        "config/default.toml is out of date: \
         cargo run -p tidings -- serve --print-config > config/default.toml"
    );
}

#[test]
fn the_default_file_says_what_is_so_anyway() {
    assert_eq!(
        from_file(&Settings::default_file()).unwrap(),
        Settings::default()
    );
    assert_eq!(from_file("").unwrap(), Settings::default());
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = Settings::default();
    let port = |address: Option<SocketAddr>| address.map(|a| (a.ip().is_loopback(), a.port()));
    assert_eq!(port(settings.listen.tcp), Some((true, 8901)));
    assert_eq!(port(settings.listen.udp), Some((true, 7901)));
    assert_eq!(port(settings.listen.ws), Some((true, 3000)));
    assert_eq!(port(settings.listen.http), Some((true, 8080)));
    assert_eq!(settings.data, Path::new("tidings-data"));
    assert_eq!(settings.delivery.durability, Durability::Disk);
    assert!(settings.delivery.server_timestamp);
    assert_eq!(settings.delivery.udp_window, 1);
    assert_eq!(settings.delivery.frame_bytes_max, limits::FRAME_BYTES_MAX);
    assert_eq!(settings.session.second_login, SecondLogin::Replace);
    assert_eq!(settings.session.sense, None);
    assert_eq!(settings.shutdown_ms, 10_000);
    assert!(!settings.echo);
    settings.validate().unwrap();
}

#[test]
fn every_key_can_be_set_in_a_file() {
    let settings = from_file(
        r#"
        data = "/var/lib/tidings"
        shutdown_ms = 5
        [listen]
        tcp = "off"
        udp = "[::1]:0"
        ws = "localhost:81"
        http = "127.1.2.3:80"
        [delivery]
        durability = "os"
        server_timestamp = false
        udp_window = 64
        frame_bytes_max = 65_536
        retention_days = 7
        [session]
        sense = "15S"
        second_login = "coexist"
        [auth]
        mode = "open"
        allow_open_on_public = true
        [log]
        level = "debug"
        format = "json"
        [groups]
        crew = ["alice", "bob"]
        "#,
    )
    .unwrap();
    assert_eq!(settings.data, Path::new("/var/lib/tidings"));
    assert_eq!(settings.shutdown_ms, 5);
    assert_eq!(settings.listen.tcp, None);
    assert_eq!(settings.listen.udp, "[::1]:0".parse().ok());
    assert_eq!(settings.listen.ws, "127.0.0.1:81".parse().ok());
    assert_eq!(settings.delivery.durability, Durability::Os);
    assert!(!settings.delivery.server_timestamp);
    assert_eq!(settings.delivery.udp_window, 64);
    assert_eq!(settings.delivery.frame_bytes_max, 65_536);
    assert_eq!(settings.delivery.retention_days, 7);
    assert_eq!(settings.session.sense, "15S".parse().ok());
    assert_eq!(settings.session.second_login, SecondLogin::Coexist);
    assert!(settings.auth.allow_open_on_public);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.groups["crew"], ["alice", "bob"]);
}

#[test]
fn the_last_word_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(
        &path,
        "shutdown_ms = 1\n[delivery]\nudp_window = 2\nretention_days = 30",
    )
    .unwrap();
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let environment = [
        ("TIDINGS_DELIVERY_UDP_WINDOW", "3"),
        ("TIDINGS_SHUTDOWN_MS", "4"),
    ]
    .map(own);
    let given = [Given {
        key: "shutdown_ms",
        name: "--shutdown-ms",
        value: "5",
    }];
    let settings = Settings::load(Some(&path), environment, &given).unwrap();
    assert_eq!(settings.delivery.retention_days, 30);
    assert_eq!(settings.delivery.udp_window, 3);
    assert_eq!(settings.shutdown_ms, 5);
}

#[test]
fn unknown_keys_are_named_with_their_place() {
    let text = complaint("data = \"x\"\n\n[delivery]\ndurabilty = \"disk\"\n");
    assert!(
        text.starts_with("t.toml:4: unknown key delivery.durabilty"),
        "{text}"
    );
    assert!(text.contains("delivery.durability"), "{text}");
    for (file, key) in [
        ("port = 1", "unknown key port;"),
        ("[listner]\n", "unknown key listner;"),
        ("[listner]\ntcp = 1", "unknown key listner.tcp;"),
        ("echo = true", "unknown key echo;"),
        ("[auth.jwt]\nkey = 1", "unknown key auth.jwt.key;"),
        ("[auth.jvt]\nkey = 1", "unknown key auth.jvt;"),
        ("[tls.jwt]\nkey = 1", "unknown key tls.jwt;"),
        ("listen = 5", "unknown key listen;"),
    ] {
        let text = complaint(file);
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn bad_values_are_named_with_what_is_allowed() {
    for (file, expected) in [
        (
            "[listen]\ntcp = 8901",
            "t.toml:2: listen.tcp = 8901: allowed is an address",
        ),
        (
            "[listen]\ntcp = \"::1\"",
            "t.toml:2: listen.tcp = \"::1\": allowed is an address",
        ),
        (
            "shutdown_ms = -1",
            "t.toml:1: shutdown_ms = \"-1\": allowed is milliseconds",
        ),
        (
            "shutdown_ms = \"5\"",
            "t.toml:1: shutdown_ms = \"5\": allowed is milliseconds",
        ),
        ("shutdown_ms = 0x10", "shutdown_ms = 0x10"),
        ("shutdown_ms = 600001", "600001"),
        (
            "[delivery]\ndurability = \"ram\"",
            "\"disk\", \"os\" or \"memory\"",
        ),
        (
            "[delivery]\nserver_timestamp = 1",
            "allowed is true or false",
        ),
        ("[delivery]\nudp_window = 0", "1 to 64"),
        ("[delivery]\nudp_window = 65", "1 to 64"),
        ("[delivery]\nframe_bytes_max = 1023", "1024 to 65536"),
        ("[delivery]\nretention_days = 6", "7 to 36500"),
        ("[session]\nsense = \"16S\"", "\"15S\""),
        ("[session]\nsecond_login = \"kick\"", "\"coexist\""),
        (
            "[auth]\nmode = \"magic\"",
            "auth.mode = \"magic\": allowed is \"open\"",
        ),
        ("[auth.jwt]\nalgorithm = \"none\"", "\"EdDSA\""),
        ("[auth.jwt]\nleeway_s = 61", "0 to 60"),
        (
            "[auth.webhook]\nurl = \"ftp://x\"",
            "an https URL, or http on this machine",
        ),
        ("[auth.webhook]\nwhen_down = \"allow\"", "\"allow_known\""),
        ("[limits]\nconnections_per_address = -1", "0 is no limit"),
        ("[log]\nlevel = \"loud\"", "\"trace\""),
        ("[log]\nformat = \"xml\"", "\"json\""),
        ("[groups]\ncrew = \"alice\"", "groups = \"alice\""),
        ("[groups]\ncrew = [1]", "groups = [1]"),
        ("groups = 1", "groups = 1"),
        ("data = \"\"", "the path of a directory"),
        ("data = [\n1]", "data = [ …"),
        ("data = ", "t.toml:1: not TOML"),
        ("data = \"a\"\ndata = \"b\"", "t.toml:2: not TOML"),
    ] {
        let text = complaint(file);
        assert!(text.contains(expected), "{file:?} gives {text:?}");
        assert!(!text.contains('\n'), "{text:?} is not one line");
    }
}

#[test]
fn variables_and_options_are_named_in_errors() {
    let text = load(&[("TIDINGS_LISTEN_TPC", "x")], &[])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("environment variable TIDINGS_LISTEN_TPC: unknown"),
        "{text}"
    );
    let text = load(&[("TIDINGS_LISTEN_TCP", "x")], &[])
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("environment variable TIDINGS_LISTEN_TCP: listen.tcp = \"x\""),
        "{text}"
    );
    let given = [Given {
        key: "listen.tcp",
        name: "--tcp",
        value: "y",
    }];
    let text = load(&[], &given).unwrap_err().to_string();
    assert!(
        text.starts_with("option --tcp: listen.tcp = \"y\": allowed is"),
        "{text}"
    );
    let foreign = [
        ("TIDINGS_TOKEN", "x"),
        ("TIDINGS_USER", "y"),
        ("PATH", "z"),
        ("TIDING", "z"),
    ];
    assert_eq!(load(&foreign, &[]).unwrap(), Settings::default());
    let groups = load(&[("TIDINGS_GROUPS", "crew=alice, bob; all=carl")], &[])
        .unwrap()
        .groups;
    assert_eq!(groups["crew"], ["alice", "bob"]);
    assert_eq!(groups["all"], ["carl"]);
}

#[test]
fn a_missing_file_is_named() {
    let text = Settings::load(Some(Path::new("/nowhere/t.toml")), [], &[])
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("/nowhere/t.toml: cannot be read: "),
        "{text}"
    );
}

#[test]
fn s8_open_logins_stay_on_this_machine_on_every_listener_unless_permitted() {
    for (key, _) in Settings::default().listen.all() {
        let listener = key.trim_start_matches("listen.");
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let file = format!("[listen]\n{listener} = \"{address}\"\n");
            let text = complaint(&file);
            assert!(text.starts_with(&format!("listen.{listener} = ")), "{text}");
            assert!(text.contains("auth.allow_open_on_public = true"), "{text}");
            from_file(&format!("{file}[auth]\nallow_open_on_public = true")).unwrap();
        }
        from_file(&format!("[listen]\n{listener} = \"[::ffff:127.0.0.1]:1\"")).unwrap();
    }
}

#[test]
fn s8_a_demo_stays_on_this_machine_whatever_is_permitted() {
    for (key, _) in Settings::default().listen.all() {
        let listener = key.trim_start_matches("listen.");
        let file =
            format!("[listen]\n{listener} = \"0.0.0.0:1\"\n[auth]\nallow_open_on_public = true");
        let mut settings = from_file(&file).unwrap();
        settings.demo = true;
        let refused = settings.validate().unwrap_err();
        assert!(matches!(refused, ConfigError::DemoOnPublic { key: of, .. } if of == key));
    }
    let settings = Settings {
        demo: true,
        ..Settings::default()
    };
    settings.validate().unwrap();
}

#[test]
fn s8_plain_http_to_other_machines_is_refused() {
    let jwks = |url: &str| format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks = \"{url}\"\n");
    for url in ["http://localhost:80@host/x", "http://host/x"] {
        assert!(
            complaint(&jwks(url)).starts_with("auth.jwt.jwks: "),
            "{url}"
        );
    }
    from_file(&jwks("http://localhost:80/x")).unwrap();
    let webhook = |more: &str| {
        format!("[auth]\nmode = \"webhook\"\n[auth.webhook]\nurl = \"http://app/login\"\n{more}")
    };
    assert!(complaint(&webhook("")).contains("auth.webhook.allow_http = true"));
    from_file(&webhook("allow_http = true")).unwrap();
}

#[test]
fn proxies_are_a_list_of_networks() {
    let file = |value: &str| format!("[auth]\ntrusted_proxies = \"{value}\"");
    let settings = from_file(&file("127.0.0.1, 10.0.0.0/8")).unwrap();
    assert_eq!(settings.auth.trusted_proxies.len(), 2);
    assert!(
        from_file(&file(""))
            .unwrap()
            .auth
            .trusted_proxies
            .is_empty()
    );
    assert!(complaint(&file("127.0.0.1, proxy")).contains("auth.trusted_proxies"));
}

#[test]
fn something_must_listen() {
    let text = complaint("[listen]\ntcp = \"off\"\nudp = \"off\"\nws = \"off\"");
    assert!(text.contains("all off"), "{text}");
}

#[test]
fn groups_are_checked() {
    for (groups, expected) in [
        ("\"#crew\" = [\"a\"]", "without the `#`"),
        ("crew = []", "has no members"),
        ("crew = [\"0\"]", "has a member `0` that is reserved"),
        ("\"\" = [\"a\"]", "is empty"),
    ] {
        let text = complaint(&format!("[groups]\n{groups}"));
        assert!(text.contains(expected), "{text}");
    }
    let many = |count: usize| {
        let members = (0..count).map(|i| format!("u{i}")).collect();
        let groups = BTreeMap::from([("crew".to_owned(), members)]);
        Settings {
            groups,
            ..Settings::default()
        }
        .validate()
    };
    many(limits::GROUP_MEMBERS_MAX).unwrap();
    many(limits::GROUP_MEMBERS_MAX + 1).unwrap_err();
}

#[test]
fn what_the_door_needs_is_demanded() {
    for (file, expected) in [
        (
            "[auth]\nmode = \"jwt\"",
            "auth.jwt.key_file: auth.mode = \"jwt\" needs a key",
        ),
        (
            "[auth]\nmode = \"jwt\"\n[auth.jwt]\nkey_file = \"a\"\njwks = \"b\"",
            "auth.jwt.jwks: stands beside",
        ),
        (
            "[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks = \"http://id.example/keys\"",
            "use https",
        ),
        ("[auth]\nmode = \"webhook\"", "auth.webhook.url: "),
        ("[tls]\ncert_file = \"a\"", "tls.key_file: "),
        ("[tls]\nkey_file = \"a\"", "tls.cert_file: "),
    ] {
        let text = complaint(file);
        assert!(text.contains(expected), "{text}");
    }
    for file in [
        "[auth]\nmode = \"accounts\"",
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\nkey_file = \"a\"",
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks = \"http://[::1]:8000/keys\"",
        "[auth]\nmode = \"jwt\"\n[auth.jwt]\njwks = \"https://id.example/keys\"",
        "[auth]\nmode = \"accounts\"\n[listen]\ntcp = \"0.0.0.0:8901\"",
    ] {
        from_file(file).unwrap();
    }
    let settings = load(&[("TIDINGS_AUTH_JWT_KEY_FILE", "/k")], &[]).unwrap();
    assert_eq!(settings.auth.jwt.key_file.as_deref(), Some(Path::new("/k")));
}

/// The place of each key in the table is its own, and what is live is taken over, nothing else.
#[test]
fn a_change_of_a_key_is_seen_as_one_of_it() {
    let candidates = [
        "off",
        "os",
        "2",
        "7",
        "1025",
        "true",
        "false",
        "127.0.0.1:1",
        "10.0.0.0/8",
        "any",
        "debug",
        "json",
        "15S",
        "coexist",
        "jwt",
        "ES256",
        "https://host/",
        "allow_known",
        "crew=alice",
        "x",
    ];
    for key in keys::all() {
        let before = Settings::default();
        let changed = candidates.iter().find_map(|value| {
            let mut after = before.clone();
            (key.set)(&mut after, value).filter(|()| after != before)?;
            Some(after)
        });
        let after = changed.unwrap_or_else(|| panic!("no other value for {}", key.path));
        let live = key.place.live;
        let change = Change {
            key: key.path,
            live,
        };
        assert_eq!(before.changes(&after), [change]);
        let mut in_force = before.clone();
        in_force.take_live(&after);
        assert_eq!(in_force == after, live, "{}", key.path);
        assert_eq!(in_force == before, !live, "{}", key.path);
    }
}

/// What Kubernetes sets in every pod of a namespace with a Service named `tidings` (ports `tcp` and
/// `http`), and one named `tidings-desk`.
const OF_SERVICES: [(&str, &str); 15] = [
    ("TIDINGS_SERVICE_HOST", "10.96.12.7"),
    ("TIDINGS_SERVICE_PORT", "8901"),
    ("TIDINGS_SERVICE_PORT_TCP", "8901"),
    ("TIDINGS_SERVICE_PORT_HTTP", "8080"),
    ("TIDINGS_PORT", "tcp://10.96.12.7:8901"),
    ("TIDINGS_PORT_8901_TCP", "tcp://10.96.12.7:8901"),
    ("TIDINGS_PORT_8901_TCP_PROTO", "tcp"),
    ("TIDINGS_PORT_8901_TCP_PORT", "8901"),
    ("TIDINGS_PORT_8901_TCP_ADDR", "10.96.12.7"),
    ("TIDINGS_PORT_7901_UDP", "udp://10.96.12.7:7901"),
    ("TIDINGS_DESK_SERVICE_HOST", "10.96.12.8"),
    ("TIDINGS_DESK_PORT", "tcp://10.96.12.8:6067"),
    ("TIDINGS_DESK_PORT_6067_TCP_ADDR", "10.96.12.8"),
    ("TIDINGS_LOG_SERVICE_PORT", "80"),
    ("TIDINGS_VERSION", "1.2"),
];

#[test]
fn b25_variables_of_a_service_are_passed_over_and_named() {
    assert_eq!(load(&OF_SERVICES, &[]).unwrap(), Settings::default());
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let ignored = Settings::ignored_variables(OF_SERVICES.iter().map(own));
    let mut names: Vec<&str> = OF_SERVICES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(ignored, names);
    let set = [
        ("TIDINGS_LISTEN_TCP", "127.0.0.1:1"),
        ("TIDINGS_PIN", "x"),
        ("PATH", "y"),
    ];
    assert!(Settings::ignored_variables(set.iter().map(own)).is_empty());
}

#[test]
fn b25_what_is_near_a_key_is_a_mistake() {
    for (name, meant) in [
        ("TIDINGS_LISTEN_TPC", "TIDINGS_LISTEN_TCP"),
        ("TIDINGS_AUTH_MOOD", "TIDINGS_AUTH_MODE"),
        ("TIDINGS_SHUTDOWN", "TIDINGS_SHUTDOWN_MS"),
        ("TIDINGS_DATE", "TIDINGS_DATA"),
        ("TIDINGS_LOG_LEVLE", "TIDINGS_LOG_LEVEL"),
        ("TIDINGS_LISTENTCP", "TIDINGS_LISTEN_TCP"),
    ] {
        let text = load(&[(name, "x")], &[]).unwrap_err().to_string();
        let words = format!("environment variable {name}: unknown: is {meant} meant?");
        assert!(text.starts_with(&words), "{text}");
    }
    // Ours by its first word, like no key: not passed over either.
    let text = load(&[("TIDINGS_AUTH_KERBEROS", "x")], &[]).unwrap_err();
    assert!(text.to_string().contains("TIDINGS_AUTH_KERBEROS: unknown"));
    // A port that is none of a service.
    let text = load(&[("TIDINGS_LISTEN_PORT", "8901")], &[]).unwrap_err();
    assert!(
        text.to_string().contains("TIDINGS_LISTEN_PORT: unknown"),
        "{text}"
    );
}

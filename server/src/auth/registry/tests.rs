use super::change::Command;
use super::*;

fn add(registry: &Registry, user: &str, role: Role) {
    let command = Command::AccountAdd {
        user: user.to_owned(),
        role,
        password: "correct horse".to_owned(),
    };
    registry.execute(command, 1, "test").unwrap();
}

fn refused(registry: &Registry, command: Command) -> String {
    match registry.execute(command, 1, "test") {
        Err(Fault::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn keys_are_random_hashed_and_can_be_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let create = |scope| Command::KeyCreate {
        scope,
        name: "ci".to_owned(),
        rate: None,
    };
    let made = registry.execute(create(Scope::Send), 1, "test").unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    let other = registry.execute(create(Scope::Admin), 1, "test").unwrap();
    assert_ne!(other["key"], made["key"]);
    assert_eq!(
        registry.key_of(&key).map(|key| key.scope),
        Some(Scope::Send)
    );
    for wrong in [
        "",
        "tidings_",
        &key[1..],
        &format!("{key}x"),
        &"a".repeat(10_000),
    ] {
        assert_eq!(registry.key_of(wrong), None);
    }
    drop(registry);
    let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
    let secret = &key.as_bytes()[KEY_PREFIX.len()..];
    assert!(!bytes.windows(secret.len()).any(|w| w == secret));
    let registry = Registry::open(dir.path()).unwrap();
    assert_eq!(
        registry.key_of(&key).map(|key| key.scope),
        Some(Scope::Send)
    );
    let id = made["id"].as_i64().unwrap();
    registry
        .execute(Command::KeyRevoke { id }, 1, "test")
        .unwrap();
    assert_eq!(registry.key_of(&key), None);
    assert!(refused(&registry, Command::KeyRevoke { id }).contains("no key"));
    let list = registry.execute(Command::KeyList, 1, "test").unwrap();
    assert_eq!(list["keys"].as_array().unwrap().len(), 1);
    assert!(list["keys"][0].get("key").is_none());
}

#[test]
fn scopes_include_the_smaller_ones() {
    assert!(Scope::Admin.permits(Scope::Send) && Scope::Send.permits(Scope::Read));
    assert!(!Scope::Read.permits(Scope::Send) && !Scope::Send.permits(Scope::Admin));
    for scope in [Scope::Read, Scope::Send, Scope::Admin] {
        assert_eq!(scope.to_string().parse(), Ok(scope));
    }
}

#[test]
fn accounts_are_kept_and_staff_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    add(&registry, "alice", Role::User);
    add(&registry, "boss", Role::Admin);
    let again = Command::AccountAdd {
        user: "alice".to_owned(),
        role: Role::Admin,
        password: "another one".to_owned(),
    };
    assert!(refused(&registry, again).contains("already"));
    drop(registry);
    let registry = Registry::open(dir.path()).unwrap();
    let known = registry.password("alice").unwrap().unwrap();
    assert!(crypt::verify_password("correct horse", &known.hash));
    let role = |user: &str| registry.standing(user).map(|account| account.role);
    assert_eq!((known.role, role("alice")), (Role::User, Some(Role::User)));
    assert_eq!(role("boss"), Some(Role::Admin));
    let user = "boss".to_owned();
    registry
        .execute(Command::AccountRemove { user }, 1, "test")
        .unwrap();
    assert_eq!(role("boss"), None);
    assert!(registry.password("boss").unwrap().is_none());
}

#[test]
fn what_cannot_be_is_refused() {
    let registry = Registry::in_memory().unwrap();
    for (user, password) in [
        ("", "long enough"),
        ("~v", "long enough"),
        ("0", "long enough"),
        ("alice", "short"),
        ("alice", &"a".repeat(limits::PASSWORD_BYTES_MAX + 1)),
    ] {
        let command = Command::AccountAdd {
            user: user.to_owned(),
            role: Role::User,
            password: password.to_owned(),
        };
        refused(&registry, command);
    }
    let address = "no address".to_owned();
    refused(&registry, Command::UnblockAddress { address });
    let user = "nobody".to_owned();
    refused(&registry, Command::UnblockUser { user });
}

#[test]
fn blocks_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let block = |address: &str| Command::BlockAddress {
        address: address.to_owned(),
        reason: "spam".to_owned(),
    };
    registry.execute(block("192.0.2.0/24"), 1, "test").unwrap();
    let user = Command::BlockUser {
        user: "mallory".to_owned(),
        reason: String::new(),
    };
    registry.execute(user.clone(), 1, "test").unwrap();
    registry.execute(user, 1, "test").unwrap();
    drop(registry);
    let registry = Registry::open(dir.path()).unwrap();
    assert!(registry.is_user_blocked("mallory"));
    assert!(registry.is_address_blocked("192.0.2.9".parse().unwrap()));
    assert!(!registry.is_address_blocked("192.0.3.9".parse().unwrap()));
    let address = "192.0.2.77/24".to_owned();
    registry
        .execute(Command::UnblockAddress { address }, 1, "test")
        .unwrap();
    assert!(!registry.is_address_blocked("192.0.2.9".parse().unwrap()));
    let list = registry.execute(Command::BlockList, 1, "test").unwrap();
    assert_eq!(list["blocks"].as_array().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let _registry = Registry::open(dir.path()).unwrap();
    let mode = std::fs::metadata(dir.path().join(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn so_many_keys_and_blocks_and_none_beyond() {
    let registry = Registry::in_memory().unwrap();
    let fill = |sql: &str, count: usize| {
        let db = registry.db.lock();
        let transaction = db.unchecked_transaction().unwrap();
        for at in 0..count {
            transaction.execute(sql, [at.to_string()]).unwrap();
        }
        transaction.commit().unwrap();
    };
    fill(
        "INSERT INTO api_key (hash, scope, name, created_ms) VALUES (CAST(?1 AS BLOB), 'read', '', 0)",
        limits::API_KEYS_MAX - 1,
    );
    let create = Command::KeyCreate {
        scope: Scope::Read,
        name: String::new(),
        rate: None,
    };
    registry.execute(create.clone(), 1, "test").unwrap();
    assert!(refused(&registry, create).contains("API_KEYS_MAX"));
    fill(
        "INSERT INTO block (kind, what, reason, since_ms) VALUES ('user', ?1, '', 0)",
        limits::BLOCKS_MAX - 1,
    );
    let block = |user: &str| Command::BlockUser {
        user: user.to_owned(),
        reason: String::new(),
    };
    registry.execute(block("last"), 1, "test").unwrap();
    assert!(refused(&registry, block("beyond")).contains("BLOCKS_MAX"));
}

/// Whatever voids what was issued is never undone: neither by a restart nor by going back.
#[test]
fn s4_a_credential_never_has_a_version_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = std::collections::HashSet::new();
    let user = || "alice".to_owned();
    let password = || "correct horse".to_owned();
    let add = Command::AccountAdd {
        user: user(),
        role: Role::User,
        password: password(),
    };
    let role = |role| Command::AccountRole { user: user(), role };
    let block = Command::BlockUser {
        user: user(),
        reason: String::new(),
    };
    let steps = [
        add.clone(),
        Command::AccountPassword {
            user: user(),
            password: password(),
        },
        role(Role::Admin),
        role(Role::User),
        block,
        Command::AccountRemove { user: user() },
        add,
    ];
    assert!(seen.insert(0), "before there was anything");
    for step in steps {
        let registry = Registry::open(dir.path()).unwrap();
        let before = registry.version_of("alice");
        assert!(seen.contains(&before), "kept over a restart");
        registry.execute(step, 1, "test").unwrap();
        assert!(seen.insert(registry.version_of("alice")));
        assert_eq!(registry.version_of("bob"), 0);
    }
    // Letting in again is nothing that voids.
    let registry = Registry::open(dir.path()).unwrap();
    let unblock = Command::UnblockUser { user: user() };
    registry.execute(unblock, 1, "test").unwrap();
    assert!(seen.contains(&registry.version_of("alice")));
    assert!(!registry.is_user_blocked("alice"));
}

#[test]
fn s4_another_mode_is_another_epoch_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for mode in ["open", "open", "jwt", "open"] {
        let registry = Registry::open(dir.path()).unwrap();
        registry.enter_mode(mode, 1).unwrap();
        epochs.push(registry.epoch());
    }
    assert_eq!(epochs[0], epochs[1]);
    assert!(epochs[1] < epochs[2] && epochs[2] < epochs[3]);
}

/// As version 2 of the file left it: accounts, keys and blocks are taken over, the demo's accounts
/// are known for what they are unless they have another password.
#[test]
fn s8_what_an_older_version_kept_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    for sql in &MIGRATIONS[..2] {
        db.execute_batch(sql).unwrap();
    }
    db.pragma_update(None, "user_version", 2).unwrap();
    for (user, role, password) in [
        ("alice", "user", "correct horse"),
        ("boss", "agent", "demo"),
        ("agent1", "agent", "changed since"),
    ] {
        db.execute(
            "INSERT INTO account (user, role, hash, created_ms, changed_ms) \
             VALUES (?1, ?2, ?3, 5, 6)",
            (user, role, crypt::hash_password(password).unwrap()),
        )
        .unwrap();
    }
    db.execute("INSERT INTO block VALUES ('user', 'mallory', '', 7)", [])
        .unwrap();
    drop(db);
    let registry = Registry::open(dir.path()).unwrap();
    let standing = |user: &str| {
        registry
            .standing(user)
            .map(|known| (known.role, known.demo))
    };
    assert_eq!(standing("alice"), Some((Role::User, false)));
    assert_eq!(standing("boss"), Some((Role::Agent, true)));
    assert_eq!(standing("agent1"), Some((Role::Agent, false)));
    assert!(registry.is_user_blocked("mallory"));
    assert_eq!(registry.version_of("alice"), 1);
    assert!(registry.password("alice").unwrap().is_some());
    // One that everybody knows is good for nothing, unless this is a demo, or it is changed.
    assert!(registry.password("boss").unwrap().is_none());
    assert!(matches!(registry.scram("boss"), Ok(scram::Known::Nobody)));
    let change = Command::AccountPassword {
        user: "boss".to_owned(),
        password: "my own now".to_owned(),
    };
    registry.execute(change, 8, "test").unwrap();
    assert!(registry.password("boss").unwrap().is_some());
}

#[test]
fn every_change_has_its_line_in_the_trail() {
    let registry = Registry::in_memory().unwrap();
    add(&registry, "alice", Role::User);
    let create = Command::KeyCreate {
        scope: Scope::Read,
        name: String::new(),
        rate: None,
    };
    registry.execute(create, 2, "boss").unwrap();
    refused(&registry, Command::KeyRevoke { id: 99 });
    let user = "alice".to_owned();
    let remove = Command::AccountRemove { user };
    registry.execute(remove, 3, "key 1").unwrap();
    let list = |before| {
        registry
            .execute(Command::AuditList { before }, 4, "test")
            .unwrap()
    };
    let lines: Vec<String> = list(None)["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            format!(
                "{} {} {} {}",
                line["time_ms"], line["who"], line["what"], line["name"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"3 "key 1" "account remove" "alice""#,
            r#"2 "boss" "key create" "1""#,
            r#"1 "test" "account add" "alice""#,
        ]
    );
    assert_eq!(list(Some(2))["entries"].as_array().unwrap().len(), 1);
}

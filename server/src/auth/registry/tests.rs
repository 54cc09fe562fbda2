use super::change::Command;
use super::*;

fn add(registry: &Registry, user: &str, role: Role) {
    let command = Command::AccountAdd {
        user: user.to_owned(),
        role,
        password: "correct horse".to_owned(),
    };
    registry.execute(command, 1).unwrap();
}

fn refused(registry: &Registry, command: Command) -> String {
    match registry.execute(command, 1) {
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
    };
    let made = registry.execute(create(Scope::Send), 1).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    let other = registry.execute(create(Scope::Admin), 1).unwrap();
    assert_ne!(other["key"], made["key"]);
    assert_eq!(registry.key_of(&key).map(|key| key.0), Some(Scope::Send));
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
    assert_eq!(registry.key_of(&key).map(|key| key.0), Some(Scope::Send));
    let id = made["id"].as_i64().unwrap();
    registry.execute(Command::KeyRevoke { id }, 1).unwrap();
    assert_eq!(registry.key_of(&key), None);
    assert!(refused(&registry, Command::KeyRevoke { id }).contains("no key"));
    let list = registry.execute(Command::KeyList, 1).unwrap();
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
    let (hash, role) = registry.password_hash("alice").unwrap().unwrap();
    assert!(crypt::verify_password("correct horse", &hash));
    assert_eq!(role, Role::User);
    assert!(registry.is_staff("boss") && !registry.is_staff("alice"));
    let user = "boss".to_owned();
    registry
        .execute(Command::AccountRemove { user }, 1)
        .unwrap();
    assert!(!registry.is_staff("boss"));
    assert!(registry.password_hash("boss").unwrap().is_none());
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
    registry.execute(block("192.0.2.0/24"), 1).unwrap();
    let user = Command::BlockUser {
        user: "mallory".to_owned(),
        reason: String::new(),
    };
    registry.execute(user.clone(), 1).unwrap();
    registry.execute(user, 1).unwrap();
    drop(registry);
    let registry = Registry::open(dir.path()).unwrap();
    assert!(registry.is_user_blocked("mallory"));
    assert!(registry.is_address_blocked("192.0.2.9".parse().unwrap()));
    assert!(!registry.is_address_blocked("192.0.3.9".parse().unwrap()));
    let address = "192.0.2.77/24".to_owned();
    registry
        .execute(Command::UnblockAddress { address }, 1)
        .unwrap();
    assert!(!registry.is_address_blocked("192.0.2.9".parse().unwrap()));
    let list = registry.execute(Command::BlockList, 1).unwrap();
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
    };
    registry.execute(create.clone(), 1).unwrap();
    assert!(refused(&registry, create).contains("API_KEYS_MAX"));
    fill(
        "INSERT INTO block (kind, what, reason, since_ms) VALUES ('user', ?1, '', 0)",
        limits::BLOCKS_MAX - 1,
    );
    let block = |user: &str| Command::BlockUser {
        user: user.to_owned(),
        reason: String::new(),
    };
    registry.execute(block("last"), 1).unwrap();
    assert!(refused(&registry, block("beyond")).contains("BLOCKS_MAX"));
}

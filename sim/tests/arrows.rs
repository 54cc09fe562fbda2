//! The arrows of ARCHITECTURE.md, held against the imports, folder by folder.
//!
//! [`SERVER`] and [`CORE`] say which folder may name which other. What names more is an exception:
//! a file and the folder that it should not know. Exceptions may go and none may be added: one that
//! is not needed any more fails the test, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder (or a file beside them) and those that it may name.
type Arrows = &'static [(&'static str, &'static [&'static str])];

const CORE: Arrows = &[
    ("limits", &[]),
    ("time", &[]),
    ("secret", &[]),
    ("bucket", &["time"]),
    ("deadline", &["time"]),
    ("ids", &["limits"]),
    ("message", &["ids"]),
    ("custody", &["ids", "limits", "message"]),
    ("wire", &["ids", "limits", "message", "secret"]),
    ("delivery", &["custody", "ids", "limits", "message", "time"]),
    ("session", &["delivery", "ids", "limits", "time", "wire"]),
    (
        "shard",
        &[
            "bucket", "custody", "deadline", "delivery", "ids", "limits", "message", "secret",
            "session", "time", "wire",
        ],
    ),
    (
        "node",
        &[
            "custody", "ids", "limits", "session", "shard", "time", "wire",
        ],
    ),
    ("desk", &["ids", "limits", "time"]),
];

const SERVER: Arrows = &[
    ("clock", &[]),
    ("origins", &[]),
    ("private", &[]),
    ("link", &["gate"]),
    ("store", &[]),
    ("metrics", &["store"]),
    ("auth", &["clock", "store"]),
    ("hooks", &["link"]),
    (
        "router",
        &["auth", "clock", "hooks", "link", "metrics", "store"],
    ),
    ("retention", &["router", "store"]),
    ("gate", &["auth"]),
    ("transport", &["gate", "link", "origins", "router"]),
    (
        "handle",
        &["link", "metrics", "retention", "router", "store"],
    ),
    ("desk", &["auth", "handle", "hooks", "router", "store"]),
    (
        "ocim",
        &["auth", "clock", "desk", "gate", "handle", "origins"],
    ),
    ("config", &["auth", "ocim", "origins", "store"]),
    (
        "api",
        &[
            "auth", "clock", "desk", "handle", "metrics", "origins", "store",
        ],
    ),
    ("admin", &["auth", "config", "desk", "handle", "store"]),
    ("reload", &["auth", "config", "server"]),
    (
        "server",
        &[
            "admin",
            "api",
            "auth",
            "config",
            "desk",
            "gate",
            "handle",
            "hooks",
            "link",
            "ocim",
            "origins",
            "private",
            "retention",
            "router",
            "store",
            "transport",
        ],
    ),
];

/// Files of the server that name a folder which they should not know.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("admin/mod.rs", "server"),
    ("admin/task.rs", "api"),
    ("api/access.rs", "ocim"),
    ("api/access.rs", "transport"),
    ("api/desk/access.rs", "transport"),
    ("api/messages.rs", "router"),
    ("api/mod.rs", "config"),
    ("api/mod.rs", "ocim"),
    ("api/mod.rs", "transport"),
    ("api/stats.rs", "transport"),
    ("api/users.rs", "router"),
    ("auth/admission.rs", "config"),
    ("auth/mod.rs", "config"),
    ("auth/settings.rs", "config"),
    ("hooks/inbox.rs", "router"),
    ("hooks/listener.rs", "desk"),
    ("hooks/mod.rs", "desk"),
    ("metrics.rs", "desk"),
    ("ocim/mod.rs", "config"),
    ("ocim/mod.rs", "transport"),
    ("ocim/polling.rs", "transport"),
    ("ocim/readers.rs", "transport"),
    ("ocim/request.rs", "transport"),
    ("ocim/session.rs", "link"),
    ("ocim/session.rs", "store"),
    ("ocim/settings.rs", "config"),
    ("origins.rs", "config"),
    ("reload.rs", "transport"),
    ("router/inside.rs", "handle"),
    ("router/mod.rs", "desk"),
    ("transport/tls.rs", "auth"),
];

/// Where SQL may stand besides `store/`, until it is moved there.
const SQL: &[&str] = &[
    "api/desk/audit.rs",
    "api/desk/conversations.rs",
    "api/desk/live.rs",
    "api/desk/reports.rs",
    "auth/registry/change.rs",
    "auth/registry/demo.rs",
    "auth/registry/mod.rs",
    "auth/registry/scram.rs",
    "auth/registry/trail.rs",
    "desk/directory/mod.rs",
    "desk/records/customer.rs",
    "desk/records/mod.rs",
    "desk/records/reports.rs",
    "desk/sink/database.rs",
    "desk/sink/mod.rs",
    "desk/snapshot.rs",
];

fn source(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().expect("the workspace is above");
    root.join(name).join("src")
}

/// The sources of a crate by their path in it, without comments and without tests.
fn sources(of: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name in UTF-8").to_owned();
        if path.is_dir() && name != "tests" {
            sources(of, &path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let code = text.split("#[cfg(test)]\nmod tests {").next();
            let lines = code.unwrap_or_default().lines();
            let code: Vec<&str> = lines
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect();
            let at = path.strip_prefix(of).expect("below it").display();
            found.insert(at.to_string(), code.join("\n"));
        }
    }
}

/// The folder, or the file beside the folders, that a source belongs to.
fn room(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.trim_end_matches(".rs")
}

/// What stands behind `crate::` in a source.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let letter = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(letter).collect()
    };
    let mut found = BTreeSet::new();
    for behind in code.split("crate::").skip(1) {
        let Some(list) = behind.strip_prefix('{') else {
            found.insert(word(behind));
            continue;
        };
        // The outermost names of a list.
        let (mut depth, mut start) = (1, 0);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || depth == 1 && letter == ',' {
                found.insert(word(&list[start..at]));
                start = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Every pair of a file and a folder that it names against the arrows.
fn against(name: &str, arrows: Arrows) -> BTreeSet<(String, String)> {
    let src = source(name);
    let mut files = BTreeMap::new();
    sources(&src, &src, &mut files);
    let rooms: BTreeSet<&str> = files.keys().map(|path| room(path)).collect();
    let arrows: BTreeMap<&str, &[&str]> = arrows.iter().copied().collect();
    let mut found = BTreeSet::new();
    let mut seen = 0;
    for (path, code) in &files {
        let from = room(path);
        if from == "lib" {
            continue;
        }
        let may = arrows.get(from);
        let may = may.unwrap_or_else(|| panic!("{name}/src/{from}: say what it may name"));
        for to in named(code) {
            if to != from && rooms.contains(&*to) {
                seen += 1;
                if !may.contains(&&*to) {
                    found.insert((path.clone(), to));
                }
            }
        }
    }
    assert!(seen > arrows.len(), "the imports of {name} are not read");
    found
}

#[test]
fn folders_name_only_what_lies_below_them() {
    assert_eq!(against("core", CORE), BTreeSet::new(), "core");
    let owned = |(file, to): &(&str, &str)| ((*file).to_owned(), (*to).to_owned());
    let known: BTreeSet<_> = EXCEPTIONS.iter().map(owned).collect();
    let found = against("server", SERVER);
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "against the arrows: {new:?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        gone.is_empty(),
        "no exceptions any more, strike them out: {gone:?}"
    );
}

#[test]
fn the_arrows_make_no_circle() {
    for arrows in [CORE, SERVER] {
        let mut left: BTreeMap<&str, BTreeSet<&str>> = arrows
            .iter()
            .map(|(from, to)| (*from, to.iter().copied().collect()))
            .collect();
        while !left.is_empty() {
            let free = |to: &BTreeSet<&str>| to.iter().all(|to| !left.contains_key(to));
            let lowest = left.iter().find(|(_, to)| free(to));
            let lowest = lowest.map(|(from, _)| *from);
            let lowest = lowest.unwrap_or_else(|| panic!("a circle among {left:?}"));
            left.remove(lowest);
        }
    }
}

#[test]
fn sql_lies_in_the_store() {
    let src = source("server");
    let mut files = BTreeMap::new();
    sources(&src, &src, &mut files);
    let outside = files
        .iter()
        .filter(|(path, code)| room(path) != "store" && code.contains("rusqlite"));
    let outside: Vec<&str> = outside.map(|(path, _)| path.as_str()).collect();
    let new: Vec<_> = outside.iter().filter(|path| !SQL.contains(path)).collect();
    assert!(new.is_empty(), "SQL belongs into store/: {new:?}");
    let gone: Vec<_> = SQL.iter().filter(|path| !outside.contains(path)).collect();
    assert!(
        gone.is_empty(),
        "no SQL any more, strike them out: {gone:?}"
    );
}

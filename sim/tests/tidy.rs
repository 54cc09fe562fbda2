//! The house rules that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;
/// The paragraph sign.
const SECTION: char = '\u{a7}';
const CRATES: [&str; 5] = ["core", "server", "client", "cli", "sim"];

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the workspace is above").to_owned()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for name in CRATES {
        for folder in ["src", "tests", "benches", "examples"] {
            collect(&root().join(name).join(folder), &mut found);
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        (path, text)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn no_file_is_longer_than_its_reader_can_hold() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines; split it",
            path.display()
        );
    }
}

#[test]
fn every_folder_says_what_lives_there() {
    for (path, text) in sources() {
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if matches!(name, "mod.rs" | "lib.rs" | "main.rs") {
            assert!(
                text.starts_with("//!"),
                "{} does not open with //!",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    // Put together, so that this file does not find itself.
    let banned = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["db", "g!("].concat(),
    ];
    for (path, text) in sources() {
        for word in &banned {
            assert!(
                !text.contains(word.as_str()),
                "{} contains {word}",
                path.display()
            );
        }
    }
}

/// Names of documents in a line: what ends in `.md`, as far as it goes to the left.
fn documents(line: &str) -> Vec<&str> {
    let name = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    line.match_indices(".md")
        .filter(|(at, dot)| !line[at + dot.len()..].starts_with(name))
        .map(|(at, dot)| {
            let start = line[..at].rfind(|c| !name(c)).map_or(0, |i| i + 1);
            line[start..at + dot.len()].trim_start_matches(['.', '/'])
        })
        .collect()
}

/// Whether `text` of the document `path` has the numbered sections that `line` cites.
fn sections_exist(line: &str, text: &str) -> bool {
    line.split(SECTION).skip(1).all(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        text.contains(&format!("\n## {}. ", &rest[..end.unwrap_or(rest.len())]))
    })
}

#[test]
fn sources_cite_only_what_a_reader_can_open() {
    let mut all = sources();
    for folder in [root(), root().join("docs")] {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|e| e == "md") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                all.push((path, text));
            }
        }
    }
    for (path, text) in all {
        let beside = path.parent().expect("a file has a folder");
        for line in text.lines() {
            let at = path.display();
            let mut cited = None;
            for name in documents(line).into_iter().filter(|n| *n != "md") {
                let found = [root(), root().join("docs"), beside.to_owned()]
                    .map(|folder| folder.join(name))
                    .into_iter()
                    .find(|p| p.is_file());
                assert!(
                    found.is_some(),
                    "{at} cites {name}, which is not here: {line}"
                );
                cited = found;
            }
            if !line.contains(SECTION) || line.contains("RFC") {
                continue; // RFCs are everybody's
            }
            let cited = cited.or_else(|| path.ends_with("protocol.md").then(|| path.clone()));
            let document = cited.map(|p| fs::read_to_string(p).expect("UTF-8"));
            let document = document.unwrap_or_else(|| panic!("{at}: of which document? {line}"));
            assert!(
                sections_exist(line, &document),
                "{at} cites no section: {line}"
            );
        }
    }
}

/// The names in the tables of a manifest whose titles end so.
fn dependencies(name: &str, title: &str) -> Vec<String> {
    let path = root().join(name).join("Cargo.toml");
    let text = fs::read_to_string(path).expect("every crate has a manifest");
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']) == title;
        } else if inside && let Some(end) = line.find(['.', '=', ' ']) {
            found.push(line[..end].to_owned());
        }
    }
    found
}

#[test]
fn the_pure_half_can_do_nothing_but_compute() {
    let allowed = [
        "base64",
        "bytes",
        "httparse",
        "serde",
        "serde_json",
        "sha1",
        "sha2",
        "thiserror",
        "unicode-general-category",
        "xxhash-rust",
    ];
    for name in dependencies("core", "dependencies") {
        assert!(
            allowed.contains(&name.as_str()),
            "core must not depend on {name}"
        );
    }
    for (path, text) in sources() {
        let core = path.starts_with(root().join("core").join("src"));
        for word in [
            "std::net",
            "std::fs",
            "std::thread",
            "async fn",
            "Instant::now",
            "SystemTime::now",
        ] {
            let found = core && text.contains(word);
            assert!(!found, "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn crates_depend_in_one_direction() {
    let allowed: [(&str, &[&str]); 5] = [
        ("core", &[]),
        ("client", &["tidings-core"]),
        ("server", &["tidings-core"]),
        ("cli", &["tidings-core", "tidings-client", "tidings-server"]),
        ("sim", &["tidings-core", "tidings-client", "tidings-server"]),
    ];
    for (name, may) in allowed {
        for dependency in dependencies(name, "dependencies") {
            let ours = dependency.starts_with("tidings-");
            let fine = !ours || may.contains(&dependency.as_str());
            assert!(fine, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_simulation_draws_everything_from_its_seed() {
    for (path, text) in sources() {
        if !path.starts_with(root().join("sim").join("src")) {
            continue;
        }
        for word in [
            "Instant::now",
            "SystemTime",
            "HashMap",
            "HashSet",
            "std::thread",
            "rand::",
        ] {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

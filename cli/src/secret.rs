//! Tokens and passwords, from where others cannot see them: a command line is in the shell's history and
//! in everybody's list of processes.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The first line of a file; `-` is standard input.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<String> {
    let text = match path.as_os_str() == "-" {
        true => first_line(io::stdin().lock()),
        false => std::fs::File::open(path).and_then(|file| first_line(io::BufReader::new(file))),
    };
    let text = text.with_context(|| path.display().to_string())?;
    if text.is_empty() {
        bail!("{}: its first line is empty", path.display());
    }
    Ok(text)
}

/// Asks for it on the terminal, without showing what is typed.
pub(crate) fn asked(what: &str) -> anyhow::Result<String> {
    let typed = rpassword::prompt_password(format!("{what}: "));
    typed.with_context(|| format!("{what}: there is no terminal to ask on"))
}

/// A new password: from the file, else asked for on a terminal, else the first line of standard input.
pub(crate) fn password(file: Option<&Path>) -> anyhow::Result<String> {
    match file {
        Some(path) => from_file(path),
        None if io::stdin().is_terminal() => {
            let password = asked("Password")?;
            if asked("Once more")? != password {
                bail!("the two are not the same");
            }
            Ok(password)
        }
        None => {
            let line = first_line(io::stdin().lock());
            let line = line.context("the password cannot be read from standard input")?;
            if line.is_empty() {
                bail!("no password on standard input");
            }
            Ok(line)
        }
    }
}

fn first_line(mut reader: impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_without_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (text, token) in [("abc", "abc"), ("abc\n", "abc"), ("a b \r\nmore\n", "a b ")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(from_file(&path).unwrap(), token);
        }
        std::fs::write(&path, "\nabc").unwrap();
        assert!(from_file(&path).is_err());
        let missing = from_file(&dir.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}

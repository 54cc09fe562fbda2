//! Reads the TOML file, keeping the line of everything, and puts it through the table of keys.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, Key, Kind};
use super::{ConfigError, Origin, Settings};

type Member<'m, 't> = (&'m Spanned<DeString<'t>>, &'m Spanned<DeValue<'t>>);

/// A file's path and text, to tell where something stands.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File {
            path: self.path.to_owned(),
            line,
        }
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.text.get(value.span()).unwrap_or_default();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        match lines.next() {
            Some(_) => first + " …",
            None => first,
        }
    }
}

/// Applies the file at `path` to `settings`.
pub(super) fn read(path: &Path, settings: &mut Settings) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    apply(path, &text, settings)
}

/// Applies a file's text to `settings`.
pub(super) fn apply(path: &Path, text: &str, settings: &mut Settings) -> Result<(), ConfigError> {
    let source = Source { path, text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        origin: source.at(error.span().map_or(0, |span| span.start)),
        reason: error.message().replace('\n', ", "),
    })?;
    for member in table.get_ref() {
        top_level(&source, member, settings)?;
    }
    Ok(())
}

fn top_level(
    source: &Source<'_>,
    (name, value): Member<'_, '_>,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    let section = name.get_ref();
    if let Some(key) = keys::by_path(section) {
        return match (key.kind, value.get_ref()) {
            (Kind::Groups, DeValue::Table(table)) => groups(source, key, table, settings),
            _ => single(source, key, value, settings),
        };
    }
    let DeValue::Table(table) = value.get_ref() else {
        return Err(unknown(source, name, "", section));
    };
    if table.is_empty() && !keys::is_section(section) {
        return Err(unknown(source, name, "", section));
    }
    members(source, section, table, settings)
}

/// The members of a section, among them the sections inside it.
fn members(
    source: &Source<'_>,
    section: &str,
    table: &DeTable<'_>,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let path = format!("{section}.{}", name.get_ref());
        match (keys::by_path(&path), value.get_ref()) {
            (Some(key), _) => single(source, key, value, settings)?,
            (None, DeValue::Table(inner)) if keys::is_section(&path) => {
                members(source, &path, inner, settings)?;
            }
            _ => return Err(unknown(source, name, section, &path)),
        }
    }
    Ok(())
}

fn unknown(
    source: &Source<'_>,
    name: &Spanned<DeString<'_>>,
    section: &str,
    path: &str,
) -> ConfigError {
    ConfigError::UnknownKey {
        key: path.to_owned(),
        origin: source.at(name.span().start),
        known: keys::paths_in(section),
    }
}

fn single(
    source: &Source<'_>,
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    let origin = source.at(value.span().start);
    let text = match (key.kind, value.get_ref()) {
        (Kind::Text, DeValue::String(text)) => text.to_string(),
        (Kind::Number, DeValue::Integer(digits)) if digits.radix() == 10 => {
            digits.as_str().to_owned()
        }
        (Kind::Flag, DeValue::Boolean(flag)) => flag.to_string(),
        _ => return Err(key.refuse(source.written(value), origin)),
    };
    key.put(settings, &text, origin)
}

fn groups(
    source: &Source<'_>,
    key: &Key,
    table: &DeTable<'_>,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    let mut groups = BTreeMap::new();
    for (name, value) in table {
        let refuse = || key.refuse(source.written(value), source.at(value.span().start));
        let DeValue::Array(items) = value.get_ref() else {
            return Err(refuse());
        };
        let members: Option<Vec<String>> = items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect();
        groups.insert(name.get_ref().to_string(), members.ok_or_else(refuse)?);
    }
    settings.groups = groups;
    Ok(())
}

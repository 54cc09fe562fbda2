//! Answers as text: lists as tables, a new key alone on the last line.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The answer to a command.
pub(super) fn answer(answer: &Value) -> String {
    let Some(members) = answer.as_object() else {
        return String::new();
    };
    let list = members.values().find_map(Value::as_array);
    match (members.get("key").and_then(Value::as_str), list) {
        (Some(key), _) => format!(
            "key {} of scope {}; it is not shown again:\n{key}\n",
            text(&members["id"]),
            text(&members["scope"]),
        ),
        (None, Some(rows)) => table(rows),
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Columns as wide as what stands in them; times for people.
pub(super) fn table(rows: &[Value]) -> String {
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let Some(first) = rows.first() else {
        return "none\n".to_owned();
    };
    let order = [
        "id", "kind", "what", "user", "group", "device", "class", "role", "scope", "name", "reason",
    ];
    let place = |name: &str| order.iter().position(|o| *o == name).unwrap_or(order.len());
    let mut names: Vec<&String> = first.keys().collect();
    names.sort_by_key(|name| place(name));
    let mut lines = vec![
        names
            .iter()
            .map(|name| name.trim_end_matches("_ms").to_owned())
            .collect::<Vec<_>>(),
    ];
    for row in rows {
        let cell = |name: &&String| match (name.ends_with("_ms"), row.get(*name)) {
            (true, Some(ms)) => utc(ms.as_i64().unwrap_or(0)),
            (false, Some(Value::Null)) | (_, None) => String::new(),
            (false, Some(value)) => text(value),
        };
        lines.push(names.iter().map(cell).collect());
    }
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max();
    let widths: Vec<usize> = (0..names.len()).map(|c| width(c).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

/// `2023-11-14 22:13:20` of milliseconds since 1970 UTC.
pub(crate) fn utc(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(
        |_| ms.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_stands_alone_on_the_last_line() {
        let made = json!({"id": 1, "scope": "send", "name": "", "key": "tidings_x"});
        assert!(answer(&made).ends_with(":\ntidings_x\n"));
    }

    #[test]
    fn lists_are_tables() {
        let list = json!({"keys": [
            {"id": 1, "scope": "send", "name": "shop", "created_ms": 0},
            {"id": 12, "scope": "admin", "name": "", "created_ms": 1_700_000_000_000_i64},
        ]});
        let shown = "id  scope  name  created\n\
                     1   send   shop  1970-01-01 00:00:00\n\
                     12  admin        2023-11-14 22:13:20\n";
        assert_eq!(answer(&list), shown);
        assert_eq!(answer(&json!({"keys": []})), "none\n");
        assert_eq!(answer(&json!({"user": "alice"})), "");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00");
    }
}

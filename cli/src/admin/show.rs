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
    let seconds = ms.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's civil_from_days: years begin in March, eras have 400 years.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
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

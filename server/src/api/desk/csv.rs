//! Tables as comma-separated values, RFC 4180.

use serde_json::Value;

/// A table: each row as long as the line of names.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) names: &'static [&'static str],
    pub(super) rows: Vec<Vec<Value>>,
}

impl Table {
    /// Each row as an object.
    pub(super) fn json(self) -> Value {
        let row = |row: Vec<Value>| -> Value {
            let cells = self.names.iter().map(|name| (*name).to_owned()).zip(row);
            Value::Object(cells.collect())
        };
        self.rows.into_iter().map(row).collect()
    }

    /// With a line of names; behind a byte-order mark if that is wished for: some spreadsheets read
    /// UTF-8 only then.
    pub(super) fn csv(&self, with_mark: bool) -> String {
        let mut text = String::from(if with_mark { "\u{feff}" } else { "" });
        text.push_str(&self.names.join(","));
        text.push_str("\r\n");
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(cell).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

fn cell(value: &Value) -> String {
    let Value::String(text) = value else {
        return if value.is_null() {
            String::new()
        } else {
            value.to_string()
        };
    };
    // What begins so is a formula to a spreadsheet, and customers write it.
    let guarded = match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text.clone(),
    };
    // Every text: which characters end a cell depends on who reads it (`;` where `,` is decimal).
    format!("\"{}\"", guarded.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_text_is_quoted_and_none_is_a_formula() {
        for (value, told) in [
            (json!("plain"), "\"plain\""),
            (json!("ok;=1+1"), "\"ok;=1+1\""),
            (json!("ok\t=1+1"), "\"ok\t=1+1\""),
            (json!(""), "\"\""),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"hi\""), "\"say \"\"hi\"\"\""),
            (json!("two\r\nlines"), "\"two\r\nlines\""),
            (json!("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\""),
            (json!("+1"), "\"'+1\""),
            (json!("-1"), "\"'-1\""),
            (json!("@x"), "\"'@x\""),
            (json!("\t=1"), "\"'\t=1\""),
            (json!(-1), "-1"),
            (json!(0.5), "0.5"),
            (Value::Null, ""),
        ] {
            assert_eq!(cell(&value), told);
        }
    }
}

//! What stands between a text from anywhere and cells of a terminal: escaping, width, lines, time.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

use crate::say;

/// Bytes of one character as people see it. Letters can carry any number of accents, and a terminal
/// that is given hundreds of them writes over the lines around.
const CLUSTER_BYTES_MAX: usize = 64;

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A message's text, harmless to a terminal: line breaks stay, tabs are spaces, other control
/// characters are written out.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        match cluster {
            "\n" | "\r\n" => out.push('\n'),
            "\t" => out.push_str("    "),
            long if long.len() > CLUSTER_BYTES_MAX => out.push('\u{fffd}'),
            cluster => {
                for character in cluster.chars() {
                    say::push(&mut out, character);
                }
            }
        }
    }
    out
}

/// The same on one line, for names and last lines.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace('\n', " ")
}

/// The same for what is being typed: line breaks are seen.
pub(crate) fn typed(text: &str) -> String {
    harmless(text).replace('\n', "⏎")
}

/// The beginning of `text` that fits into `columns`, with an ellipsis if that is not all.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for cluster in text.graphemes(true) {
        used += width(cluster);
        if used + 1 > columns {
            break;
        }
        out.push_str(cluster);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Breaks harmless text into lines of at most `columns`, at spaces and between wide characters
/// where possible. At least one line.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    // A wide character has to fit.
    let columns = columns.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        wrap_paragraph(paragraph, columns, &mut lines);
    }
    lines
}

fn wrap_paragraph(paragraph: &str, columns: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    // Where the line can be broken: the byte after which the rest moves to the next line.
    let mut fold = None;
    for cluster in paragraph.graphemes(true) {
        let wide = width(cluster);
        if used + wide > columns {
            if cluster == " " {
                // It vanishes in the break.
                lines.push(without_end(std::mem::take(&mut line)));
                (used, fold) = (0, None);
                continue;
            }
            if wide < 2
                && let Some(at) = fold
                && at < line.len()
            {
                let rest = line.split_off(at);
                lines.push(without_end(line));
                line = rest;
                used = width(&line);
            } else {
                lines.push(without_end(std::mem::take(&mut line)));
                used = 0;
            }
            fold = None;
        }
        line.push_str(cluster);
        used += wide;
        if cluster == " " || wide > 1 {
            fold = Some(line.len());
        }
    }
    lines.push(line);
}

/// Without the spaces at which it was broken.
fn without_end(mut line: String) -> String {
    line.truncate(line.trim_end_matches(' ').len());
    line
}

/// The end of `text` before byte `cursor` that fits into `columns`, and what of the rest does.
/// Answers with the visible text and the cursor's column in it.
pub(crate) fn window(text: &str, cursor: usize, columns: usize) -> (String, usize) {
    let (before, after) = text.split_at(cursor);
    let mut begin = before.len();
    let mut used = 0;
    for (at, cluster) in before.grapheme_indices(true).rev() {
        // The cursor itself takes the last column.
        if used + width(cluster) >= columns {
            break;
        }
        used += width(cluster);
        begin = at;
    }
    let mut shown = before[begin..].to_owned();
    let mut right = used;
    for cluster in after.graphemes(true) {
        right += width(cluster);
        if right > columns {
            break;
        }
        shown.push_str(cluster);
    }
    (shown, used)
}

/// `12:34`, UTC.
pub(crate) fn clock(time_ms: i64) -> String {
    let minutes = time_ms.div_euclid(60_000);
    let (hour, minute) = (
        minutes.div_euclid(60).rem_euclid(24),
        minutes.rem_euclid(60),
    );
    format!("{hour:02}:{minute:02}")
}

/// `2024-05-01`, UTC.
pub(crate) fn date(time_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms);
    time.map_or_else(
        |_| day(time_ms).to_string(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// Days since 1970.
pub(crate) fn day(time_ms: i64) -> i64 {
    time_ms.div_euclid(86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{7}"), "a\\u{1b}[2Jb\\u{7}");
        assert_eq!(harmless("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(harmless("a\r\nb\tc"), "a\nb    c");
        assert_eq!(one_line("a\nb"), "a b");
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(harmless(family), family);
    }

    #[test]
    fn a_pile_of_accents_is_one_replacement() {
        let pile = format!("a{}b", "\u{301}".repeat(500));
        assert_eq!(harmless(&pile), "\u{fffd}b");
    }

    #[test]
    fn lines_break_at_spaces_and_between_wide_characters() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two", 3), ["one", "two"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("你好世界", 5), ["你好", "世界"]);
        assert_eq!(wrap("说abc", 4), ["说", "abc"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        for columns in 0..12 {
            for line in wrap("mixed 宽字符 and 👩‍🚀 in one", columns) {
                assert!(width(&line) <= columns.max(2), "{line:?} in {columns}");
            }
        }
    }

    #[test]
    fn clipping_counts_columns() {
        assert_eq!(clip("你好世界", 8), "你好世界");
        assert_eq!(clip("你好世界", 7), "你好世…");
        assert_eq!(clip("你好世界", 6), "你好…");
        assert_eq!(clip("abc", 0), "");
    }

    #[test]
    fn the_cursor_stays_in_the_window() {
        assert_eq!(window("hello", 5, 10), ("hello".to_owned(), 5));
        assert_eq!(window("hello", 5, 4), ("llo".to_owned(), 3));
        assert_eq!(window("hello", 0, 4), ("hell".to_owned(), 0));
        assert_eq!(window("你好世界", 12, 6), ("世界".to_owned(), 4));
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(0), "00:00");
        assert_eq!(clock(-60_000), "23:59");
        assert_eq!(clock(1_714_566_896_789), "12:34");
    }
}

//! What is said on the standard error, and text of others on its way to a terminal: a server, or
//! whoever writes to us, may send anything, and a terminal obeys what it reads.

use std::fmt::{Display, Write as _};

/// Says one line.
pub(crate) fn say(text: impl Display) {
    eprintln!("tidings: {}", one_line(&text.to_string()));
}

/// A text on one line that no terminal obeys: control characters, and those that turn or hide what
/// follows, are written out.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        push(&mut out, character);
    }
    out
}

/// One character of such a text.
pub(crate) fn push(out: &mut String, character: char) {
    if is_harmful(character) {
        let _ = write!(out, "{}", character.escape_default());
    } else {
        out.push(character);
    }
}

/// What a terminal obeys, or what turns the direction of the text around it or hides in it. Joiners
/// are none: emoji and several scripts need them.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        let nasty = "bye\u{1b}]0;owned\u{7}\u{1b}[2J\r\ntidings: logged in\u{202e}\u{9b}1m";
        let harmless = one_line(nasty);
        assert!(!harmless.chars().any(|c| c.is_control() || c == '\u{202e}'));
        assert!(harmless.starts_with("bye\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\r\\ntidings"));
        assert_eq!(
            one_line("Grüße 你好 👨\u{200d}👩"),
            "Grüße 你好 👨\u{200d}👩"
        );
    }
}

//! A line that is being typed: text and a cursor that stands between characters as people see them.

use unicode_segmentation::UnicodeSegmentation as _;

/// Beyond this nothing more is taken; frames are far shorter, and the client names their limit.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    /// A byte of `text`, at the edge of a grapheme cluster.
    cursor: usize,
}

impl Line {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    pub(crate) fn insert(&mut self, text: &str) {
        if self.text.len() + text.len() <= LINE_BYTES_MAX {
            self.text.insert_str(self.cursor, text);
            self.cursor += text.len();
        }
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.after();
    }

    pub(crate) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(crate) fn backspace(&mut self) {
        let before = self.before();
        self.cut(before);
    }

    pub(crate) fn delete(&mut self) {
        let after = self.after();
        self.text.replace_range(self.cursor..after, "");
    }

    pub(crate) fn delete_to_start(&mut self) {
        self.cut(0);
    }

    pub(crate) fn delete_to_end(&mut self) {
        self.text.truncate(self.cursor);
    }

    /// The spaces before the cursor and the word before them.
    pub(crate) fn delete_word(&mut self) {
        let word = self.text[..self.cursor].trim_end();
        let begin = word.rfind(char::is_whitespace).map_or(0, |space| {
            space + word[space..].chars().next().map_or(1, char::len_utf8)
        });
        self.cut(begin);
    }

    fn cut(&mut self, begin: usize) {
        self.text.replace_range(begin..self.cursor, "");
        self.cursor = begin;
    }

    fn before(&self) -> usize {
        let mut clusters = self.text[..self.cursor].grapheme_indices(true);
        clusters.next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_and_deletes_by_what_people_see() {
        let mut line = Line::default();
        line.insert("a👩‍🚀你");
        line.left();
        line.backspace();
        assert_eq!(line.text(), "a你");
        line.insert("x");
        assert_eq!(line.text(), "ax你");
        line.delete();
        assert_eq!((line.text(), line.cursor()), ("ax", 2));
        line.delete();
        line.home();
        line.backspace();
        line.delete();
        assert_eq!(line.take(), "x");
        assert_eq!(line, Line::default());
    }

    #[test]
    fn words_and_halves() {
        let mut line = Line::default();
        line.insert("one 两个 three  ");
        line.delete_word();
        assert_eq!(line.text(), "one 两个 ");
        line.delete_word();
        line.delete_word();
        line.delete_word();
        assert_eq!(line.text(), "");
        line.insert("left right");
        for _ in 0..5 {
            line.left();
        }
        line.delete_to_end();
        assert_eq!(line.text(), "left ");
        line.insert("x");
        line.left();
        line.delete_to_start();
        assert_eq!(line.text(), "x");
    }

    #[test]
    fn has_an_end() {
        let mut line = Line::default();
        line.insert(&"x".repeat(LINE_BYTES_MAX));
        line.insert("y");
        assert_eq!(line.text().len(), LINE_BYTES_MAX);
    }
}

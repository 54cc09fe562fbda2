//! Where things stand on the screen, and the rows that messages make there. The model counts them to
//! scroll, `draw` shows them.

use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};

use super::model::{Entry, Mark, Talk};
use super::text;

/// Narrower screens have no list.
const LIST_FROM: u16 = 60;
const NAME_COLUMNS_MAX: usize = 12;
/// `12:34 ✓✓ `, and two spaces after the name.
const PREFIX_COLUMNS: usize = 11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    /// Empty on narrow screens.
    pub(crate) list: Rect,
    pub(crate) title: Rect,
    pub(crate) messages: Rect,
    /// Between messages and input; notices stand here.
    pub(crate) rule: Rect,
    pub(crate) input: Rect,
    pub(crate) status: Rect,
}

pub(crate) fn areas(size: Size) -> Areas {
    let Size { width, height } = size;
    // What is typed comes first, then the state of the link, then messages.
    let input = height.min(1);
    let status = (height - input).min(1);
    let rule = (height - input - status).min(1);
    let above = height - input - status - rule;
    let title = above.min(1);
    let list = match width {
        0..LIST_FROM => 0,
        LIST_FROM..100 => 22,
        _ => 30,
    };
    // One column for the line between, one of air.
    let left = if list > 0 { list + 2 } else { 0 };
    let right = width - left;
    Areas {
        list: Rect::new(0, 0, list, above),
        title: Rect::new(left, 0, right, title),
        messages: Rect::new(left, title, right, above - title),
        rule: Rect::new(0, above, width, rule),
        input: Rect::new(0, above + rule, width, input),
        status: Rect::new(0, above + rule + input, width, status),
    }
}

/// Rows of all messages.
pub(crate) fn height(talk: &Talk, columns: u16) -> usize {
    (0..talk.entries.len())
        .map(|index| of_entry(talk, index, columns).len())
        .sum()
}

pub(crate) fn height_of_last(talk: &Talk, columns: u16) -> usize {
    let last = talk.entries.len().checked_sub(1);
    last.map_or(0, |last| of_entry(talk, last, columns).len())
}

/// The rows that are visible, oldest first.
pub(crate) fn visible(talk: &Talk, columns: u16, rows: u16) -> Vec<Line<'static>> {
    let rows = usize::from(rows);
    let wanted = talk.back.saturating_add(rows);
    let mut upwards = Vec::new();
    for index in (0..talk.entries.len()).rev() {
        upwards.extend(of_entry(talk, index, columns).into_iter().rev());
        if upwards.len() >= wanted {
            break;
        }
    }
    let back = talk.back.min(upwards.len().saturating_sub(rows));
    let mut seen: Vec<_> = upwards.into_iter().skip(back).take(rows).collect();
    seen.reverse();
    seen
}

fn of_entry(talk: &Talk, index: usize, columns: u16) -> Vec<Line<'static>> {
    let Some(entry) = talk.entries.get(index) else {
        return Vec::new();
    };
    let columns = usize::from(columns);
    let before = index
        .checked_sub(1)
        .and_then(|index| talk.entries.get(index));
    let mut rows = Vec::new();
    if before.is_none_or(|before| text::day(before.time_ms) != text::day(entry.time_ms)) {
        let date = format!("-- {} --", text::date(entry.time_ms));
        rows.push(Line::from(date.dim()).centered());
    }
    let names = name_columns(talk, columns);
    let indent = PREFIX_COLUMNS + names;
    let room = columns.saturating_sub(indent);
    for (row, line) in text::wrap(&text::harmless(&entry.text), room)
        .into_iter()
        .enumerate()
    {
        let mut spans = if row == 0 {
            prefix(entry, names)
        } else {
            vec![Span::raw(" ".repeat(indent))]
        };
        spans.push(Span::raw(line));
        rows.push(Line::from(spans));
    }
    if let Mark::Failed(why) = &entry.mark {
        let why = format!("not sent: {}", text::one_line(why));
        for line in text::wrap(&why, room) {
            let line = format!("{}{line}", " ".repeat(indent));
            rows.push(Line::from(line.fg(Color::Red)));
        }
    }
    rows
}

fn prefix(entry: &Entry, names: usize) -> Vec<Span<'static>> {
    let mark = match entry.mark {
        Mark::Received => "  ".into(),
        Mark::Typed => " ·".dim(),
        Mark::Sent => " ✓".dim(),
        Mark::Stored => "✓✓".fg(Color::Green),
        Mark::Failed(_) => " ✗".fg(Color::Red).bold(),
    };
    let (name, style) = if entry.mark == Mark::Received {
        (
            text::one_line(&entry.from),
            Style::new().fg(colour(&entry.from)),
        )
    } else {
        ("you".to_owned(), Style::new().dim())
    };
    let name = text::clip(&name, names);
    let gap = " ".repeat(names - text::width(&name).min(names) + 2);
    vec![
        format!("{} ", text::clock(entry.time_ms)).dim(),
        mark,
        Span::raw(" "),
        Span::styled(name, style.bold()),
        Span::raw(gap),
    ]
}

/// Two people need a narrow column only; who may yet speak in a group is not known.
fn name_columns(talk: &Talk, columns: usize) -> usize {
    let most = NAME_COLUMNS_MAX.min(columns / 5);
    if talk.peer.starts_with(['#', '@']) {
        return most;
    }
    text::width(&text::one_line(&talk.peer)).max(3).min(most)
}

/// Always the same for a name.
pub(crate) fn colour(name: &str) -> Color {
    // Readable on dark and on light ground; red, green and yellow mean something here.
    const COLOURS: [Color; 3] = [Color::Cyan, Color::Magenta, Color::Blue];
    let sum = name.bytes().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    COLOURS[sum % COLOURS.len()]
}

//! The screen of a [`Model`]. Changes nothing.

use ratatui::Frame;
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::{Link, Model, Talk};
use super::{rows, text};

pub(crate) const HELP: &str = "\
Enter            send                Alt+Enter    new line in the message
Tab, Alt+Down    next conversation   Shift+Tab, Alt+Up   the one before
Ctrl+N           new conversation: a user, #group, @team, 0 is the server
Up, Down, PageUp, PageDown           scroll
Ctrl+C, Ctrl+D   leave; asks again while something is not stored

/new NAME   new conversation         /login   log in again after a kick
/help       this page                /quit    leave
//…         sends a text that begins with a slash

  ✓   sent: in the outbox, repeated until the server answers
  ✓✓  stored: the server acknowledged it, it is on its disk
  ✗   refused, and why

You see what arrived and what you wrote since this program started; it keeps
nothing when it ends. Who is online is not known here: the title of a
conversation says when something was last heard. Times are UTC.";

pub(crate) fn draw(frame: &mut Frame, model: &Model) {
    let area = frame.area();
    let areas = rows::areas(Size::new(area.width, area.height));
    if model.help {
        let upper = Rect::new(0, 0, area.width, areas.rule.y);
        frame.render_widget(Paragraph::new(HELP), upper);
    } else {
        list(frame, model, areas.list);
        match model.opened() {
            Some(talk) => conversation(frame, talk, &areas),
            None => nothing_open(frame, model, areas.messages),
        }
    }
    rule(frame, model, areas.rule);
    input(frame, model, areas.input);
    status(frame, model, areas.status);
}

fn list(frame: &mut Frame, model: &Model, area: Rect) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    for y in area.top()..area.bottom() {
        frame.render_widget("│".dim(), Rect::new(area.right(), y, 1, 1));
    }
    let columns = usize::from(area.width) - 1;
    let title = text::clip(&text::one_line(&model.me), columns);
    frame.render_widget(
        Line::from(format!(" {title}")).bold(),
        Rect { height: 1, ..area },
    );
    let visible = usize::from(area.height - 1) / 2;
    let first = model
        .open
        .map_or(0, |open| (open + 1).saturating_sub(visible));
    let talks = model.talks.iter().enumerate().skip(first).take(visible);
    for ((index, talk), y) in talks.zip((area.y + 1..).step_by(2)) {
        let open = model.open == Some(index);
        let row = Rect::new(area.x, y, area.width, 1);
        frame.render_widget(name_row(talk, open, columns), row);
        let last = talk.entries.back().map_or("", |entry| entry.text.as_str());
        let last = text::clip(&text::one_line(last), columns - 2);
        let row = Rect::new(area.x + 2, y + 1, area.width - 2, 1);
        frame.render_widget(last.dim(), row);
    }
}

fn name_row(talk: &Talk, open: bool, columns: usize) -> Line<'static> {
    let count = match talk.unread {
        0 => String::new(),
        unread => format!(" {unread}"),
    };
    let room = columns.saturating_sub(2 + count.len());
    let name = text::clip(&text::one_line(&talk.peer), room);
    let gap = " ".repeat(room.saturating_sub(text::width(&name)));
    let marker = if open { "› " } else { "  " };
    let name = if open || talk.unread > 0 {
        name.bold()
    } else {
        Span::raw(name)
    };
    Line::from(vec![
        marker.fg(Color::Yellow).bold(),
        name,
        Span::raw(gap),
        count.fg(Color::Yellow).bold(),
    ])
}

fn conversation(frame: &mut Frame, talk: &Talk, areas: &rows::Areas) {
    let heard = match talk.heard_ms {
        Some(time_ms) => format!("last heard {} UTC", text::clock(time_ms)),
        None => "nothing heard yet".to_owned(),
    };
    let room = usize::from(areas.title.width).saturating_sub(heard.len() + 2);
    let name = text::clip(&text::one_line(&talk.peer), room);
    let title = Line::from(vec![name.bold(), Span::raw("  "), heard.dim()]);
    frame.render_widget(title, areas.title);
    let area = areas.messages;
    let lines = rows::visible(talk, area.width, area.height);
    // A short conversation stands next to the line in which one types.
    let above = area.height
        - u16::try_from(lines.len())
            .unwrap_or(area.height)
            .min(area.height);
    let below = Rect::new(area.x, area.y + above, area.width, area.height - above);
    frame.render_widget(Paragraph::new(lines), below);
}

fn nothing_open(frame: &mut Frame, model: &Model, area: Rect) {
    let words = if model.talks.is_empty() {
        "No conversation yet.\n\nCtrl+N begins one; whoever writes to you appears on the left."
    } else {
        "No conversation is open.\n\nTab opens the next, Ctrl+N begins one."
    };
    frame.render_widget(
        Paragraph::new(words)
            .dim()
            .wrap(ratatui::widgets::Wrap { trim: true }),
        area,
    );
}

fn rule(frame: &mut Frame, model: &Model, area: Rect) {
    let columns = usize::from(area.width);
    if let Some(notice) = &model.notice {
        let notice = text::clip(&text::one_line(notice), columns);
        frame.render_widget(notice.fg(Color::Yellow).bold(), area);
        return;
    }
    frame.render_widget("─".repeat(columns).dim(), area);
    let Some(talk) = model.opened().filter(|talk| talk.back > 0 && !model.help) else {
        return;
    };
    let below = match talk.unread {
        0 => " more below ".to_owned(),
        unread => format!(" {unread} new below "),
    };
    if below.len() + 2 <= columns {
        frame.render_widget(Line::from(below.fg(Color::Yellow)).centered(), area);
    }
}

fn input(frame: &mut Frame, model: &Model, area: Rect) {
    if area.height == 0 {
        return;
    }
    let (prompt, line) = match (&model.naming, model.opened()) {
        (Some(name), _) => ("with whom? ", name),
        (None, Some(talk)) => ("› ", &talk.draft),
        (None, None) => ("› ", &model.lobby),
    };
    let (before, after) = line.text().split_at(line.cursor());
    let before = text::typed(before);
    let all = format!("{before}{}", text::typed(after));
    let used = text::width(prompt);
    let columns = usize::from(area.width).saturating_sub(used);
    let (shown, cursor) = text::window(&all, before.len(), columns);
    frame.render_widget(
        Line::from(vec![prompt.fg(Color::Yellow).bold(), shown.into()]),
        area,
    );
    let column = u16::try_from(used + cursor).unwrap_or(u16::MAX);
    let last = area.right().saturating_sub(1);
    frame.set_cursor_position(Position::new(
        area.x.saturating_add(column).min(last),
        area.y,
    ));
}

fn status(frame: &mut Frame, model: &Model, area: Rect) {
    let (state, colour) = link(model);
    let columns = usize::from(area.width);
    let waiting = match model.unacknowledged() {
        0 => String::new(),
        waiting => format!("{waiting} not stored yet · "),
    };
    let unread: usize = model.talks.iter().map(|talk| talk.unread).sum();
    let unread = match unread {
        0 => String::new(),
        unread => format!("{unread} unread · "),
    };
    let mut hint = format!("  {waiting}{unread}F1 help");
    if text::width(&hint) * 2 > columns {
        hint.clear();
    }
    // Reasons may be long, and their beginning says most.
    let state = text::clip(&text::one_line(&state), columns - text::width(&hint));
    frame.render_widget(state.fg(colour), area);
    frame.render_widget(Line::from(hint.dim()).right_aligned(), area);
}

fn link(model: &Model) -> (String, Color) {
    let server = &model.server;
    match &model.link {
        Link::Connecting => (format!("connecting to {server}"), Color::Yellow),
        Link::Online { extended: true } => (format!("connected to {server}"), Color::Green),
        Link::Online { extended: false } => {
            // MobileIMSDK's servers promise less.
            let words = format!("connected to {server}, where ✓✓ means handed on");
            (words, Color::Green)
        }
        Link::Lost { reason } => {
            let when = match model.resting_s {
                Some(seconds) => format!("reconnecting in {seconds} s"),
                None => "reconnecting".to_owned(),
            };
            (format!("{when}: {reason}"), Color::Yellow)
        }
        Link::Kicked { code, reason } => {
            let why = match (code, reason) {
                (_, Some(reason)) => reason.clone(),
                (1, None) => "the user logged in elsewhere".to_owned(),
                (2, None) => "by an administrator".to_owned(),
                (code, None) => format!("code {code}"),
            };
            (format!("kicked: {why}; /login to come back"), Color::Red)
        }
        Link::Refused { code } => {
            let words = format!("login refused (code {code}); /login to try again");
            (words, Color::Red)
        }
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;

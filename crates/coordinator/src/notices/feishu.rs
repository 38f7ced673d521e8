//! A notice as a card of Feishu (Lark), schema 2.0.
//!
//! Values come from names of files and may hold anything: what is markup in a card (`<at …>` would call people)
//! is written as character references. A card may have 30 KB: long values are cut.

use model::TaskId;
use serde_json::{Value, json};

use super::event::{Event, Paused, RunEnd};
use crate::report::{HEADER, Row, TaskEnd};

/// Characters of one value; each may take five bytes or more in a card.
const MAX_CHARS: usize = 800;
const MAX_MESSAGE_CHARS: usize = 1500;

/// Columns of a task's row, and how a card names them.
const OF_TASK: [(&str, &str); 11] = [
    ("id", "task"),
    ("source dir", "source"),
    ("target dir", "target"),
    ("client id", "client"),
    ("duration", "duration"),
    ("success", "success"),
    ("split pattern", "split pattern"),
    ("split files", "split files"),
    ("file from", "file from"),
    ("log file", "log file"),
    ("message", "message"),
];

pub(super) fn card(event: &Event, config: &str) -> Value {
    let (title, lines) = match event {
        Event::Task(row) => of_task(row),
        Event::Run(end) => of_run(end),
        Event::Paused(paused) => of_paused(paused, "waits, its target is full"),
        Event::ServerFull(message) => (
            "data-migrate: the server's disk is full, the run waits".to_owned(),
            vec![("message", message.clone())],
        ),
        Event::Resumed(paused) => of_paused(paused, "goes on, its target has room again"),
    };
    let content = lines
        .into_iter()
        .chain([("config", config.to_owned())])
        .map(|(name, value)| format!("**{name}**: {}", shown(name, &value)))
        .collect::<Vec<_>>()
        .join("\n");
    json!({
        "msg_type": "interactive",
        "card": {
            "schema": "2.0",
            "header": {
                "title": {"tag": "plain_text", "content": title},
                "template": "blue",
            },
            "body": {"elements": [{"tag": "markdown", "content": content}]},
        },
    })
}

type Lines = Vec<(&'static str, String)>;

fn of_task(row: &Row) -> (String, Lines) {
    let end = match TaskEnd::of(row.success, &row.message) {
        TaskEnd::Success => "succeeded",
        TaskEnd::Failed => "failed",
        TaskEnd::Incomplete => "is incomplete",
    };
    let cells = row.cells();
    let cell = |column| {
        let place = HEADER.iter().position(|&name| name == column);
        match &row.log_link {
            Some(link) if column == "log file" => link.expose().to_owned(),
            _ => place.map_or_else(String::new, |place| cells[place].clone()),
        }
    };
    let lines = OF_TASK.map(|(column, name)| (name, cell(column)));
    (format!("data-migrate: task {} {end}", row.id), lines.into())
}

fn of_run(end: &RunEnd) -> (String, Lines) {
    let title = match end.failed() {
        0 => "data-migrate: all tasks succeeded".to_owned(),
        1 => "data-migrate: the run is over, 1 task failed".to_owned(),
        n => format!("data-migrate: the run is over, {n} tasks failed"),
    };
    let lines = vec![
        ("total", end.tasks.total().to_string()),
        ("success", end.tasks.success.to_string()),
        ("failed", end.failed().to_string()),
        ("duration", end.duration()),
        (
            "report",
            match &end.report_link {
                Some(link) => link.expose().to_owned(),
                None => end.report.display().to_string(),
            },
        ),
    ];
    (title, lines)
}

fn of_paused(paused: &Paused, what: &str) -> (String, Lines) {
    let title = format!("data-migrate: task {} {what}", paused.task);
    let tasks: Vec<String> = paused.tasks.iter().map(TaskId::to_string).collect();
    let mut lines = vec![
        ("task", paused.task.to_string()),
        ("source", paused.source.clone()),
        ("target", paused.target.clone()),
        ("all tasks there", tasks.join(", ")),
        ("client", paused.client.clone()),
        ("message", paused.message.clone()),
    ];
    lines.retain(|(name, value)| *name != "client" || !value.is_empty());
    (title, lines)
}

fn shown(name: &str, value: &str) -> String {
    let is_place = matches!(name, "log file" | "report");
    if is_place && is_link(value) {
        return format!("[{name}]({value})");
    }
    let most = match name {
        "message" => MAX_MESSAGE_CHARS,
        _ => MAX_CHARS,
    };
    let mut text: String = value.chars().take(most).map(reference).collect();
    if value.chars().nth(most).is_some() {
        text.push('…');
    }
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// A link that can't end early or hold markup.
fn is_link(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"()<>[]\"\\`".contains(&b);
    (value.starts_with("https://") || value.starts_with("http://")) && value.bytes().all(plain)
}

/// Markup as what it looks like.
fn reference(c: char) -> String {
    match c {
        '&' | '<' | '>' | '*' | '_' | '~' | '[' | ']' | '`' | '\\' | '#' | '!' | '$' | '|' => {
            format!("&#{};", u32::from(c))
        }
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    }
}

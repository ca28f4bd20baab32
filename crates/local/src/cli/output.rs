//! Text for people. The only place that writes to standard output.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use batch_local::Error;
use indicatif::{ProgressBar, ProgressStyle};

/// The widest cell of a table; what is longer is cut.
const MAX_CELL: usize = 88;

/// Writes a line to standard output at once, so that whoever reads a pipe sees it when it is true.
pub(super) fn say(text: impl Display) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Error::caused("standard output", &error))
}

/// Writes an error to standard error.
pub(super) fn complain(error: &Error) {
    // Nothing is left to be done where even that fails.
    let _ = writeln!(io::stderr().lock(), "error: {error}");
}

/// Writes a line to standard error.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Rows in columns, with a header and a line below it.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| std::array::from_fn(|column| cut(&row[column]))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule = widths.map(|width| "-".repeat(width));
    let mut lines = vec![line(header), line(rule.each_ref().map(String::as_str))];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// One line of at most [`MAX_CELL`] characters.
fn cut(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= MAX_CELL {
        return text;
    }
    let kept: String = text.chars().take(MAX_CELL - 1).collect();
    format!("{kept}…")
}

/// How far a batch is: a bar on a terminal, else a line whenever something changed.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("  [{bar:40}] {pos}/{len} {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { bar, last: String::new() }
    }

    pub(super) fn show(&mut self, ended: u64, total: u64, status: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(ended);
            bar.set_message(status.to_owned());
            return;
        }
        let line = format!("  {ended}/{total} {status}");
        if line != self.last {
            note(&line);
            self.last = line;
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "één".to_owned()], ["bcd".to_owned(), "x\ny".to_owned()]];
        assert_eq!(table(["id", "v"], &rows), "id   v\n---  ---\na    één\nbcd  x y");
        assert_eq!(cut(&"x".repeat(100)).chars().count(), MAX_CELL);
    }
}

//! Reads results tables: comma-separated values as RFC 4180 has them, with the first line as header.
//! Columns are asked for by name, so that tests do not depend on their order.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// Why a text is no table.
#[derive(Debug)]
pub enum TableError {
    Io(io::Error),
    Empty,
    /// A quote that is not closed, or something between a closing quote and the next comma.
    Quote {
        line: usize,
    },
    Width {
        line: usize,
        found: usize,
        expected: usize,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => write!(f, "cannot read the table"),
            Self::Empty => write!(f, "the table has no header"),
            Self::Quote { line } => write!(f, "line {line}: misplaced quote"),
            Self::Width {
                line,
                found,
                expected,
            } => write!(f, "line {line}: {found} columns, the header has {expected}"),
        }
    }
}

impl std::error::Error for TableError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A header and the rows below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, TableError> {
        Self::parse(&fs::read_to_string(path).map_err(TableError::Io)?)
    }

    pub fn parse(text: &str) -> Result<Self, TableError> {
        let mut records = records(text)?.into_iter();
        let (_, header) = records.next().ok_or(TableError::Empty)?;
        let rows = records
            .map(|(line, row)| match row.len() == header.len() {
                true => Ok(row),
                false => Err(TableError::Width {
                    line,
                    found: row.len(),
                    expected: header.len(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { header, rows })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|fields| Row {
            header: &self.header,
            fields,
        })
    }

    /// The first row in which `column` is `value`.
    pub fn find(&self, column: &str, value: &str) -> Option<Row<'_>> {
        self.rows().find(|row| row.get(column) == Some(value))
    }
}

/// One row; its columns go by the header's names.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    header: &'a [String],
    fields: &'a [String],
}

impl<'a> Row<'a> {
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let position = self.header.iter().position(|name| name == column)?;
        Some(&self.fields[position])
    }

    /// The whole number in `column`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn number(&self, column: &str) -> u64 {
        self.get(column)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no number in column {column:?} of {:?}", self.fields))
    }
}

/// The records with the line on which each begins, from 1. Blank lines are none.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, TableError> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let begun = line;
        let mut record = Vec::new();
        loop {
            let (value, after) = field(rest).ok_or(TableError::Quote { line })?;
            line += value.matches('\n').count();
            record.push(value);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('\r').unwrap_or(after);
                    rest = rest.strip_prefix('\n').unwrap_or(rest);
                    break;
                }
            }
        }
        line += 1;
        if record != [""] {
            found.push((begun, record));
        }
    }
    Ok(found)
}

/// The field that `text` begins with, and what follows it: a comma, the end of a line, or nothing.
fn field(text: &str) -> Option<(String, &str)> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let end = text.find([',', '\n']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return match value.strip_suffix('\r') {
            Some(value) if !after.starts_with(',') => Some((value.to_owned(), &text[end - 1..])),
            _ => Some((value.to_owned(), after)),
        };
    };
    let mut value = String::new();
    loop {
        let end = quoted.find('"')?;
        value.push_str(&quoted[..end]);
        quoted = &quoted[end + 1..];
        match quoted.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                quoted = after;
            }
            None => break,
        }
    }
    let ends = quoted.is_empty() || quoted.starts_with([',', '\n']) || quoted.starts_with("\r\n");
    ends.then_some((value, quoted))
}

#[cfg(test)]
mod tests {
    use super::{Table, TableError};

    #[test]
    fn columns_are_found_by_name_whatever_is_quoted() {
        let text = "id,message\r\n1,\"a, \"\"b\"\"\nc\"\r\n\r\n2,\n3,\"\"";
        let table = Table::parse(text).unwrap();
        assert_eq!(table.len(), 3);
        let first = table.find("id", "1").unwrap();
        assert_eq!(first.get("message"), Some("a, \"b\"\nc"));
        assert_eq!(first.number("id"), 1);
        assert_eq!(table.find("id", "2").unwrap().get("message"), Some(""));
        assert_eq!(table.find("id", "3").unwrap().get("message"), Some(""));
        assert_eq!(first.get("no such"), None);
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        assert!(matches!(Table::parse(""), Err(TableError::Empty)));
        let error = Table::parse("a,b\n\"x\ny\",2\n1,2,3\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4: 3 columns, the header has 2");
        let error = Table::parse("a\n1\n\"x\"y\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: misplaced quote");
        assert!(Table::parse("a\n\"open").is_err());
    }
}

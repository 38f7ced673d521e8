//! The flags of `copy` and `check` that leave something out: the keys of a config by the same names.

use std::path::{Path, PathBuf};

use clap::Args;
use model::Filter;
use model::filter::{Age, Rules, Size, lines_of_file};

use crate::exit::Usage;

#[derive(Debug, Args)]
pub(super) struct FilterFlags {
    /// Leave out what this pattern matches, with all below it; as in a .gitignore in SRC. May be given several times:
    /// the last pattern that matches decides, and !PATTERN takes back
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// The same with a pattern on each line of a file, before those of --exclude
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,
    /// Take only files, links and special files that this pattern or another --include matches, or a directory above them
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out smaller files: bytes, or 10M, 1GiB
    #[arg(long, value_name = "SIZE")]
    min_size: Option<Size>,
    /// Leave out larger files
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,
    /// Leave out files that were modified less than this ago: 12h, 30d
    #[arg(long, value_name = "AGE")]
    min_age: Option<Age>,
    /// Leave out files that were modified longer than this ago
    #[arg(long, value_name = "AGE")]
    max_age: Option<Age>,
    /// Leave out directories on another file system than SRC
    #[arg(short = 'x', long)]
    one_file_system: bool,
}

impl FilterFlags {
    /// # Errors
    /// A file can't be read, or what is given can't be meant.
    pub(super) fn filter(&self) -> Result<Filter, Usage> {
        let mut exclude = Vec::new();
        for file in &self.exclude_from {
            exclude.extend(patterns_of(file)?);
        }
        exclude.extend_from_slice(&self.exclude);
        let filter = Filter {
            exclude,
            include: self.include.clone(),
            min_size_bytes: self.min_size.map(Size::bytes),
            max_size_bytes: self.max_size.map(Size::bytes),
            min_age_secs: self.min_age.map(Age::secs),
            max_age_secs: self.max_age.map(Age::secs),
            one_file_system: self.one_file_system,
        };
        Rules::compile(&filter).map_err(|bad| Usage(model::error_chain(&bad)))?;
        Ok(filter)
    }
}

fn patterns_of(file: &Path) -> Result<Vec<String>, Usage> {
    let named = file.display();
    let bytes = std::fs::read(file).map_err(|e| Usage(format!("cannot read {named}: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Usage(format!(
            "{named} has bytes that are no text, expected UTF-8"
        ))
    })?;
    Ok(lines_of_file(&text))
}

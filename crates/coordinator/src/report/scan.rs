//! Finds where the last whole row of a csv file ends. A row ends at a line feed that is
//! outside quotes; what follows the last of them is what a crash left of a row.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::row::HEADER;

pub(super) struct Scan {
    pub(super) header: Option<Vec<String>>,
    /// The last whole rows.
    pub(super) rows: VecDeque<Vec<String>>,
    /// Bytes up to the end of the last whole row.
    pub(super) whole_len: u64,
    /// What follows it.
    pub(super) rest: Vec<u8>,
}

/// Reads the whole file and keeps its header and the last `keep` rows.
pub(super) fn scan(file: &File, keep: usize) -> io::Result<Scan> {
    let whole_len = whole_len(file)?;
    let mut from_start = file;
    from_start.seek(SeekFrom::Start(0))?;
    let mut reader = reader(BufReader::new(file).take(whole_len));
    let mut header = None;
    let mut rows = VecDeque::new();
    for record in reader.byte_records() {
        let cells = to_strings(&record?);
        if header.is_none() {
            header = Some(cells);
            continue;
        }
        if rows.len() == keep {
            rows.pop_front();
        }
        rows.push_back(cells);
    }
    let mut rest = Vec::new();
    from_start.seek(SeekFrom::Start(whole_len))?;
    from_start.read_to_end(&mut rest)?;
    Ok(Scan {
        header,
        rows,
        whole_len,
        rest,
    })
}

/// The cells of a last row that is whole but for its line end, as some editors leave it.
pub(super) fn only_lacks_its_end(rest: &[u8]) -> Option<Vec<String>> {
    let record = reader(rest).byte_records().next()?.ok()?;
    let cells = to_strings(&record);
    // A torn last cell can be told only because all its values are known.
    let is_whole = cells.len() == HEADER.len()
        && matches!(cells.last().map(String::as_str), Some("native" | "rclone"));
    is_whole.then_some(cells)
}

fn whole_len(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; 64 << 10];
    let (mut at, mut whole, mut quoted) = (0_u64, 0_u64, false);
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => return Ok(whole),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..n] {
            at += 1;
            match byte {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => whole = at,
                _ => {}
            }
        }
    }
}

fn reader<R: Read>(from: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(from)
}

fn to_strings(record: &csv::ByteRecord) -> Vec<String> {
    record
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).into_owned())
        .collect()
}

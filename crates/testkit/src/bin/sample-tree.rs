//! Makes the sample that `make quickstart` migrates: three source trees and a list of some entries of the third.
//!
//! `sample-tree DIRECTORY [SEED]` makes `DIRECTORY/source/{documents,photos,archive}` and `DIRECTORY/archive.list`,
//! and prints what there is.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testkit::tree::{Made, Recipe, make};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sample-tree: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: sample-tree DIRECTORY [SEED]";
    let is_no_option = |argument: &OsString| !argument.as_encoded_bytes().starts_with(b"-");
    let directory = arguments.next().filter(is_no_option).ok_or(usage)?;
    let directory = PathBuf::from(directory);
    let seed = match arguments.next() {
        Some(seed) => seed.to_str().ok_or(usage)?.parse()?,
        None => 1,
    };
    let source = directory.join("source");
    for (number, (name, recipe)) in recipes().iter().enumerate() {
        let made = make(&source.join(name), recipe, seed + number as u64)?;
        print(name, &made);
    }
    write_list(&directory, &source.join("archive"))
}

fn recipes() -> [(&'static str, Recipe); 3] {
    let documents = Recipe {
        symlinks: 100,
        empty_directories: 10,
        ..Recipe::plain(150, 2_000)
    };
    let photos = Recipe {
        file_bytes: 100 << 10..=400 << 10,
        big_files: 1,
        sparse_files: 2,
        ..Recipe::plain(20, 200)
    };
    let archive = Recipe {
        hard_links: 20,
        ..Recipe::odd(80, 1_000)
    };
    [
        ("documents", documents),
        ("photos", photos),
        ("archive", archive),
    ]
}

fn print(name: &str, made: &Made) {
    println!(
        "  {name:<10} {:>6} files, {:>4} directories, {:>4} links, {:>4} MiB",
        made.files,
        made.directories,
        made.symlinks,
        made.bytes >> 20
    );
}

/// Entries that the archive has at its top, directories with all below them: those whose names fit into a line of text
/// and are no patterns.
fn write_list(directory: &Path, archive: &Path) -> Result<(), Box<dyn Error>> {
    let fits = |name: &String| {
        name.trim() == name
            && !name.contains(char::is_control)
            && !name.contains(['*', '?', '[', '{'])
    };
    let mut names: Vec<String> = fs::read_dir(archive)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(fits)
        .collect();
    names.sort();
    fs::write(directory.join("archive.list"), names.join("\n") + "\n")?;
    println!("  archive.list names {} entries of archive", names.len());
    Ok(())
}

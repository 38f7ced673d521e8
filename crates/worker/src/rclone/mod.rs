//! Items of tasks that rclone copies.
//!
//! A walk finds out what there is: our own code makes directories and links and writes down the files that have to be
//! copied (`found`), in lists that become items with the walk's end. Each of those is copied by one rclone (`item`),
//! whose log goes to the server (`upload`). `ends` opens and checks what is mounted of source and target.

mod ends;
mod found;
mod item;

pub(crate) use item::run;

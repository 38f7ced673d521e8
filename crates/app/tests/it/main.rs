//! What the three programs do, started as users start them. One binary, so that all of it compiles and links once, and
//! tests that wait for a lease or a clock wait side by side: no test may change this process (its limits, variables,
//! working directory), or count what it holds; what does belongs in a directory beside this one. A new file of tests is
//! named below, in the group of its subject.

// What tests share.
mod fleet;
mod oracle;
mod place;
mod rclone;
mod receiver;
mod s3;

// What is typed and written in configs and lists, and the papers that show it.
mod bad_flags;
mod bad_input;
mod deploy;
mod guard;
mod old_configs;
mod old_lists;
mod troubleshooting;

// Trees that arrive as they are, and `check`, which agrees.
mod check;
mod check_agrees;
mod check_bounds;
mod copy_shows;
mod differential;
mod filters;
mod incomplete;
mod large_directory;
mod nobody_reads;
mod odd_trees;
mod retried;

// A server and workers that share the work.
mod finished_run;
mod health;
mod huge_directory;
mod huge_file;
mod links_in_a_fleet;
mod priority;
mod sharing;
mod stopping;
mod waiting;

// What dies, freezes, hangs, fills or goes away.
mod frozen_before_rename;
mod full_disk;
mod hung_mount;
mod killed_big_file;
mod killed_copy;
mod killed_server;
mod killed_worker;
mod late_worker;
mod missing_mount;
mod mount_gone;
mod poison;
mod power_cut;
mod server_disk_full;

// The rclone engine.
mod rclone_beside_server;
mod rclone_engine;
mod rclone_fleet;
mod rclone_lies;
mod rclone_lists;
mod rclone_remotes;
mod rclone_secrets;

// What a run leaves and tells: results, notices, uploads.
mod notices;
mod results;
mod uploads;
mod uploads_faults;
mod uploads_secrets;

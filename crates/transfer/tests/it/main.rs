//! What attempts do to trees, in this process. One binary, so that all of it compiles and links once: no test may change
//! this process (its limits, user, variables, working directory). What must runs again in one of its own, see
//! `support::run_again`. A new file of tests is named below, in the group of its subject.

// What tests share.
mod attack;
mod changing;
mod support;

// What is copied, and how.
mod big;
mod compared;
mod copying;
mod filters;
mod foreign_names;
mod listed;
mod moved_by;
mod options;
mod second_run;
mod verified;

// What is shared by threads, attempts and workers.
mod left;
mod left_names;
mod pool;
mod ranges;
mod shards;
mod shared_file;
mod sharing;

// What goes wrong, and what is short.
mod attacker;
mod changing_source;
mod deep_tree;
mod faults;
mod faulty_source;
mod faulty_target;
mod few_descriptors;
mod plain_user;
mod power_cut;
mod stopping;
mod tried_again;

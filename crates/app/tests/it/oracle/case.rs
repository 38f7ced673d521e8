//! A source and what lies at its target before: drawn by proptest, made by the seed.

use std::fs;
use std::io;
use std::path::Path;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::subsequence;
use testkit::damage::{Damage, Damages, damage};
use testkit::tree::{Made, Recipe, make};

use super::User;
use crate::place::PLAIN_USER;

/// What is at the target before the copy.
#[derive(Debug, Clone)]
pub enum Before {
    /// A directory with nothing in it.
    Empty,
    /// The same tree, made a second time.
    Identical,
    /// The same tree with such damages.
    Damaged { kinds: Vec<Damage>, seed: u64 },
}

#[derive(Debug, Clone)]
pub struct Case {
    pub recipe: Recipe,
    pub seed: u64,
    pub before: Before,
}

impl Case {
    pub fn make_source(&self, source: &Path) -> io::Result<Made> {
        make(source, &self.recipe, self.seed)
    }

    /// Makes the target's state; links in it lead to `outside`.
    pub fn make_before(&self, target: &Path, outside: &Path) -> io::Result<()> {
        match &self.before {
            Before::Empty => fs::create_dir(target),
            Before::Identical => self.make_source(target).map(drop),
            Before::Damaged { kinds, seed } => {
                self.make_source(target)?;
                let damages = Damages {
                    kinds: kinds.clone(),
                    seed: *seed,
                    outside: outside.to_owned(),
                    plain_user: self.recipe.plain_user,
                };
                damage(target, &damages).map(drop)
            }
        }
    }

    pub fn has(&self, damage: Damage) -> bool {
        matches!(&self.before, Before::Damaged { kinds, .. } if kinds.contains(&damage))
    }

    pub fn is_damaged(&self) -> bool {
        matches!(self.before, Before::Damaged { .. })
    }
}

/// Small trees of all kinds of entries; shrinks to fewer entries, plainer ones and fewer damages.
pub fn any_case(user: User) -> impl Strategy<Value = Case> {
    (any_recipe(user), any::<u64>(), any_before()).prop_map(|(recipe, seed, before)| Case {
        recipe,
        seed,
        before,
    })
}

fn any_before() -> impl Strategy<Value = Before> {
    let kinds = subsequence(Damage::ALL.to_vec(), 1..=Damage::ALL.len());
    prop_oneof![
        1 => Just(Before::Empty),
        1 => Just(Before::Identical),
        3 => (kinds, any::<u64>()).prop_map(|(kinds, seed)| Before::Damaged { kinds, seed }),
    ]
}

fn any_recipe(user: User) -> impl Strategy<Value = Recipe> {
    let directories = (0_u64..12, 0_u64..3, 1_u32..6);
    let files = (0_u64..40, 0_u64..20_000, 0_u64..3, 0_u64..4);
    let others = (0_u64..12, 0_u64..5, 0_u64..6);
    let hard_links = (0_u64..6, 0_u64..4, 0_u64..4);
    let oddities = any::<[bool; 6]>();
    let all = (directories, files, others, hard_links, oddities);
    all.prop_map(move |(directories, files, others, hard_links, oddities)| {
        let [
            odd_names,
            random_names,
            odd_attributes,
            extended,
            acls,
            capabilities,
        ] = oddities;
        let is_any_file = files.0 + files.2 + files.3 > 0;
        let is_any_special = others.1 > 0 || (others.2 > 0 && user == User::Root);
        Recipe {
            directories: directories.0,
            empty_directories: directories.1,
            depth: directories.2,
            files: files.0,
            file_bytes: 0..=files.1,
            sparse_files: files.2,
            preallocated_files: files.3,
            symlinks: others.0,
            specials: others.1,
            devices: others.2,
            hard_links: if is_any_file { hard_links.0 } else { 0 },
            symlink_hard_links: if others.0 > 0 { hard_links.1 } else { 0 },
            special_hard_links: if is_any_special { hard_links.2 } else { 0 },
            odd_names,
            random_names,
            odd_attributes,
            extended_attributes: extended,
            acls,
            capabilities,
            plain_user: (user == User::Plain).then_some(PLAIN_USER),
            ..Recipe::default()
        }
    })
}

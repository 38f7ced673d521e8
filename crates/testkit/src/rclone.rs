//! The two releases of rclone that tests call: the current one, which `scripts/setup.sh` has from PyPI, and Debian's,
//! which is close to the oldest that is supported.

use std::env;
use std::path::{Path, PathBuf};

/// The current release.
///
/// # Panics
/// Where it is not installed.
pub fn current() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    installed(workspace.join(target).join("tools/rclone/bin/rclone"))
}

/// Debian's release.
///
/// # Panics
/// Where it is not installed.
pub fn debian() -> PathBuf {
    installed("/usr/bin/rclone".into())
}

/// Both, with a name each.
///
/// # Panics
/// Where one is not installed.
pub fn both() -> [(&'static str, PathBuf); 2] {
    [("current", current()), ("debian", debian())]
}

fn installed(program: PathBuf) -> PathBuf {
    let found = program.canonicalize();
    found.unwrap_or_else(|error| {
        panic!(
            "no rclone at {}: {error}; run `make test`, which installs it (scripts/setup.sh test)",
            program.display()
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "run `make test`")]
    fn a_missing_one_says_what_installs_it() {
        super::installed("/no/such/rclone".into());
    }
}

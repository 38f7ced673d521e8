//! Where the worker's own `rclone.conf` is: where rclone itself would look for it.
//!
//! As `makeConfigPath` of rclone's `fs/config/config.go`, but for a file beside the program, which
//! is for programs carried about. Tried with rclone 1.60.1 and 1.75.2.

use std::ffi::OsString;
use std::path::PathBuf;

/// The file that is used; `None` if it is nowhere, or `RCLONE_CONFIG` is empty, which to rclone
/// means no file. A file named there need not exist.
pub(crate) fn location(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Option<PathBuf> {
    let (mut named, mut xdg, mut home) = (None, None, None);
    for (name, value) in vars {
        match name.to_str() {
            Some("RCLONE_CONFIG") => named = Some(PathBuf::from(value)),
            Some("XDG_CONFIG_HOME") if !value.is_empty() => xdg = Some(PathBuf::from(value)),
            Some("HOME") if !value.is_empty() => home = Some(PathBuf::from(value)),
            _ => {}
        }
    }
    if let Some(named) = named {
        return (!named.as_os_str().is_empty()).then_some(named);
    }
    let candidates = [
        xdg.map(|dir| dir.join("rclone/rclone.conf")),
        home.as_ref()
            .map(|dir| dir.join(".config/rclone/rclone.conf")),
        home.as_ref().map(|dir| dir.join(".rclone.conf")),
    ];
    candidates.into_iter().flatten().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::location;

    #[test]
    fn the_config_file_is_where_rclone_looks_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().unwrap();
        let find = |vars: &[(&str, &str)]| {
            let owned = |text: &str| OsString::from(text);
            let found = location(vars.iter().map(|(name, value)| (owned(name), owned(value))));
            found.map(|path| path.to_str().unwrap().replace(home, "~"))
        };
        let vars = [("HOME", home), ("XDG_CONFIG_HOME", home)];
        assert_eq!(find(&vars), None);
        // The later is looked at earlier.
        for file in [
            ".rclone.conf",
            ".config/rclone/rclone.conf",
            "rclone/rclone.conf",
        ] {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
            assert_eq!(find(&vars), Some(format!("~/{file}")));
        }
        let named = |path| [vars[0], vars[1], ("RCLONE_CONFIG", path)];
        assert_eq!(find(&named("/not/there")).as_deref(), Some("/not/there"));
        assert_eq!(find(&named("")), None);
    }
}

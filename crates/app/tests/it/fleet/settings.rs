//! What a test says about the config of its fleet; all else has values with which tests are quick.

/// What the config file says.
#[derive(Debug, Clone)]
pub struct Settings {
    pub source_fs_types: String,
    pub target_fs_types: String,
    /// `none`, `batch` or `file`.
    pub durability: &'static str,
    pub concurrency: u32,
    pub transfers: u32,
    pub lease_secs: u32,
    pub heartbeat_secs: u32,
    pub ineligible_grace_secs: u32,
    pub end_wait_secs: u32,
    pub item_attempts: u32,
    /// Further lines of `global_config`, each `key: value`.
    pub more_global: Vec<String>,
    /// Further lines of `server`.
    pub more_server: Vec<String>,
    /// Further sections, as they stand in the file.
    pub more_sections: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source_fs_types: "any".to_owned(),
            target_fs_types: "any".to_owned(),
            durability: "none",
            concurrency: 3,
            transfers: 4,
            lease_secs: 2,
            heartbeat_secs: 1,
            ineligible_grace_secs: 1,
            end_wait_secs: 10,
            item_attempts: 5,
            more_global: Vec::new(),
            more_server: Vec::new(),
            more_sections: String::new(),
        }
    }
}

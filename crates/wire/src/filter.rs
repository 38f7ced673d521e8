//! What is left out, as a message and back.

use model::Filter;
use model::filter::Rules;

use crate::convert::{BadMessage, bad};
use crate::proto;

impl From<&Filter> for proto::Filter {
    fn from(filter: &Filter) -> Self {
        Self {
            exclude: filter.exclude.clone(),
            include: filter.include.clone(),
            min_size_bytes: filter.min_size_bytes,
            max_size_bytes: filter.max_size_bytes,
            min_age_secs: filter.min_age_secs,
            max_age_secs: filter.max_age_secs,
            one_file_system: filter.one_file_system,
        }
    }
}

impl TryFrom<proto::Filter> for Filter {
    type Error = BadMessage;

    fn try_from(filter: proto::Filter) -> Result<Self, BadMessage> {
        let filter = Self {
            exclude: filter.exclude,
            include: filter.include,
            min_size_bytes: filter.min_size_bytes,
            max_size_bytes: filter.max_size_bytes,
            min_age_secs: filter.min_age_secs,
            max_age_secs: filter.max_age_secs,
            one_file_system: filter.one_file_system,
        };
        Rules::compile(&filter).map_err(|e| bad("options.filter", model::error_chain(&e)))?;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use model::Filter;

    use crate::proto;

    #[test]
    fn a_filter_survives_the_wire() {
        let all = Filter {
            exclude: vec!["*.o".into(), "!é.o".into()],
            include: vec!["a/".into()],
            min_size_bytes: Some(0),
            max_size_bytes: Some(u64::MAX),
            min_age_secs: Some(1),
            max_age_secs: Some(2),
            one_file_system: true,
        };
        for filter in [all, Filter::default()] {
            assert_eq!(Filter::try_from(proto::Filter::from(&filter)), Ok(filter));
        }
    }

    #[test]
    fn a_filter_that_can_not_be_used_is_refused() {
        let bad = proto::Filter {
            exclude: vec!["[".into()],
            ..Default::default()
        };
        assert_eq!(Filter::try_from(bad).unwrap_err().field, "options.filter");
    }
}

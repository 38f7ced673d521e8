//! What the environment asks for.

use std::time::Duration;

use crate::Failure;
use crate::cases::{self, Case};
use crate::tools::{self, Tool};

pub(crate) struct Settings {
    pub(crate) rounds: u64,
    /// Of one run of one tool.
    pub(crate) limit: Duration,
    pub(crate) cases: Vec<Case>,
    tools: Vec<Tool>,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let cases = chosen_cases("BENCH_CASES")?;
        let mut tools = chosen("BENCH_TOOLS", &tools::ALL, |tool| tool.name(), |_| true)?;
        tools.retain(|tool| cases.iter().any(|case| case.tools().contains(tool)));
        tools.retain(|tool| tool.is_wanted());
        tools::require(&tools)?;
        Ok(Self {
            rounds: number("ROUNDS", 3)?,
            limit: Duration::from_secs(number("BENCH_LIMIT_SECS", 1800)?),
            cases,
            tools,
        })
    }

    /// Those that are wanted, all cases together.
    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Those of `tools` that are wanted.
    pub(crate) fn wanted(&self, tools: &[Tool]) -> Vec<Tool> {
        let is_wanted = |tool: &Tool| self.tools.contains(tool);
        tools.iter().copied().filter(is_wanted).collect()
    }
}

fn chosen_cases(variable: &str) -> Result<Vec<Case>, Failure> {
    let is_usual = |case: Case| !case.is_asked_for();
    chosen(variable, &cases::ALL, |case| case.name(), is_usual)
}

/// Those of `all` that the variable names, separated by commas; the usual ones without it.
fn chosen<T: Copy>(
    variable: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
    is_usual: impl Fn(T) -> bool,
) -> Result<Vec<T>, Failure> {
    let text = std::env::var(variable).unwrap_or_default();
    let names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
    let known: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(format!("{variable}: there is no {unknown}, but {known}").into());
    }
    let is_chosen = |one: &T| match names.is_empty() {
        true => is_usual(*one),
        false => names.contains(&name(*one)),
    };
    Ok(all.iter().copied().filter(is_chosen).collect())
}

pub(crate) fn number(variable: &str, default: u64) -> Result<u64, Failure> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{variable}={text}: expected a whole number above 0").into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::chosen_cases;
    use crate::cases::{ALL, Case};

    #[test]
    fn what_takes_long_is_measured_only_where_it_is_named() {
        let usual = chosen_cases("BENCH_VARIABLE_THAT_IS_NOT_SET").unwrap();
        assert_eq!(usual.len(), ALL.len() - 1);
        assert!(!usual.contains(&Case::Entries));
    }
}

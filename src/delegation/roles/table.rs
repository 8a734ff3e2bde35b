//! The text form of role definitions. The form is described at the top of `builtin.txt`.

use std::collections::HashMap;
use std::sync::Arc;

use super::pattern::{NotAPattern, Pattern};
use super::{Permission, Role};
use crate::ids::{NotAGuid, RoleId};

/// A line of a role table that cannot be read. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Two roles with one id or one name.
    #[error("the role `{name}` has the id or the name of a role before it")]
    Doubled {
        /// Name of the second role.
        name: String,
    },
    /// The id of a role.
    #[error("line {line}: the role has no usable id")]
    Id {
        /// Line.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: NotAGuid,
    },
    /// A line of no known form, or one that belongs to a role before the first role.
    #[error("line {line}: `{text}` is no line of a role table")]
    Line {
        /// Line.
        line: usize,
        /// The line, shortened.
        text: String,
    },
    /// A pattern of actions.
    #[error("line {line}: the role has a broken pattern")]
    Pattern {
        /// Line.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: NotAPattern,
    },
    /// More roles than an index can name.
    #[error("the table has more than {max} roles", max = u16::MAX)]
    TooMany,
}

pub(super) fn read(text: &str) -> Result<Vec<Role>, TableError> {
    let mut reader = Reader::default();
    for (line, text) in (1..).zip(text.lines()) {
        if !text.is_empty() && !text.starts_with('#') {
            reader.line(line, text)?;
        }
    }
    Ok(reader.roles)
}

/// Equal patterns are kept once: 12,000 uses, a third as many patterns.
#[derive(Default)]
struct Reader<'t> {
    roles: Vec<Role>,
    patterns: HashMap<(&'t str, &'t str), Arc<Pattern>>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: usize, text: &'t str) -> Result<(), TableError> {
        let unknown = || TableError::Line { line, text: text.chars().take(80).collect() };
        let (mark, rest) = text.split_once(' ').unwrap_or((text, ""));
        if mark == "role" {
            let (id, name) = rest.split_once(' ').ok_or_else(unknown)?;
            let id: RoleId = id.parse().map_err(|cause| TableError::Id { line, cause })?;
            self.roles.push(Role { id, name: name.into(), permissions: vec![Permission::default()] });
            return Ok(());
        }
        let patterns = if matches!(mark, "+" | "-" | "d" | "x") { self.patterns(line, rest)? } else { Vec::new() };
        let role = self.roles.last_mut().ok_or_else(unknown)?;
        if mark == "block" {
            role.permissions.push(Permission::default());
            return Ok(());
        }
        let block = role.permissions.last_mut().ok_or_else(unknown)?;
        match mark {
            "when" => block.condition = Some(rest.into()),
            "+" => block.actions.extend(patterns),
            "-" => block.not_actions.extend(patterns),
            "d" => block.data_actions.extend(patterns),
            "x" => block.not_data_actions.extend(patterns),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// `PROVIDER REST…`, or `PROVIDER` alone.
    fn patterns(&mut self, line: usize, text: &'t str) -> Result<Vec<Arc<Pattern>>, TableError> {
        let mut words = text.split(' ');
        let provider = words.next().unwrap_or_default();
        let mut rests: Vec<&str> = words.collect();
        if rests.is_empty() {
            rests.push("");
        }
        let interned = rests.into_iter().map(|rest| self.pattern(provider, rest));
        interned.collect::<Result<_, _>>().map_err(|cause| TableError::Pattern { line, cause })
    }

    fn pattern(&mut self, provider: &'t str, rest: &'t str) -> Result<Arc<Pattern>, NotAPattern> {
        if let Some(known) = self.patterns.get(&(provider, rest)) {
            return Ok(Arc::clone(known));
        }
        let parsed = if rest.is_empty() { Pattern::parse(provider) } else { Pattern::parse(&format!("{provider}/{rest}")) };
        let pattern = Arc::new(parsed?);
        self.patterns.insert((provider, rest), Arc::clone(&pattern));
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader";

    #[test]
    fn blocks_and_their_lists_are_kept_apart() {
        let text = format!("# note\n\n{ID}\n+ A.B c/read d/write\n- A.B d/write\nwhen x\nblock\n+ *\nd A.B e/read\nx A.B f/read\n");
        let roles = read(&text).unwrap();
        let [first, second] = roles[0].permissions.as_slice() else { panic!("two blocks") };
        assert_eq!(first.actions().collect::<Vec<_>>(), ["A.B/c/read", "A.B/d/write"]);
        assert_eq!(first.not_actions().collect::<Vec<_>>(), ["A.B/d/write"]);
        assert_eq!(first.condition(), Some("x"));
        assert_eq!(second.actions().collect::<Vec<_>>(), ["*"]);
        assert_eq!(second.data_actions().chain(second.not_data_actions()).collect::<Vec<_>>(), ["A.B/e/read", "A.B/f/read"]);
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(read(text).unwrap_err().to_string(), message, "{text}");
    }

    #[test]
    fn a_broken_line_is_named() {
        refused("+ A.B c/read", "line 1: `+ A.B c/read` is no line of a role table");
        refused(&format!("{ID}\nplus A.B"), "line 2: `plus A.B` is no line of a role table");
        refused("role 1 Reader", "line 1: the role has no usable id");
        refused(&format!("{ID}\n+ Nothing"), "line 2: the role has a broken pattern");
    }
}

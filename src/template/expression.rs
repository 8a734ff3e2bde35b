//! The expression language: text between `[` and `]` to a tree. Knows nothing of functions and values.
//!
//! ```text
//! expression = primary { "." name | "[" expression "]" }
//! primary    = "'" text "'" | digits | true | false | null | name [ "." name ] "(" [ expression { "," expression } ] ")"
//! ```
//!
//! Source: Azure Resource Manager, "Syntax and expressions in ARM templates".

use super::error::{Reason, quoted};
use super::limits;

/// A string of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text<'t> {
    /// Plain text, with `[[` already read as `[`.
    Literal(&'t str),
    /// An expression.
    Expression(Expr),
}

/// A node and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expr {
    /// Characters before it in the string.
    pub(super) offset: usize,
    /// What it is.
    pub(super) node: Node,
    /// Nodes on the longest way down, this one included.
    height: usize,
}

/// What a node is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// `true`, `false`.
    Bool(bool),
    /// `name(…)`, or `namespace.name(…)` for a user function.
    Call {
        /// As written.
        name: String,
        /// In order.
        arguments: Vec<Expr>,
    },
    /// `of[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// Digits, with an optional minus.
    Int(i64),
    /// `of.name`.
    Member(Box<Expr>, String),
    /// `null`.
    Null,
    /// `'text'`.
    Text(String),
}

/// An expression that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Characters before the fault.
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) reason: Reason,
}

/// Whether a string is an expression: from `[` to `]`, and not `[[`.
pub(super) fn is_expression(text: &str) -> bool {
    text.len() > 1 && text.starts_with('[') && text.ends_with(']') && !text.starts_with("[[")
}

/// Reads a string of a template.
///
/// # Errors
/// When it is an expression and has no reading, is too long or too deep.
pub(super) fn read(text: &str) -> Result<Text<'_>, Fault> {
    if !is_expression(text) {
        let escaped = text.starts_with("[[") && text.ends_with(']');
        return Ok(Text::Literal(text.strip_prefix('[').filter(|_| escaped).unwrap_or(text)));
    }
    let chars: Vec<char> = text.chars().take(limits::EXPRESSION_CHARS_MAX + 1).collect();
    if chars.len() > limits::EXPRESSION_CHARS_MAX {
        let max = u64::try_from(limits::EXPRESSION_CHARS_MAX).unwrap_or(u64::MAX);
        return Err(Fault { offset: 0, reason: Reason::Limit { what: "characters in an expression", max } });
    }
    let mut reader = Reader { chars, at: 1, depth: 0 };
    let expression = reader.expression()?;
    reader.expect(']')?;
    if reader.at < reader.chars.len() {
        return Err(reader.fault("the expression ends here, but text follows; join several values with concat or format"));
    }
    Ok(Text::Expression(expression))
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&mut self) -> Option<char> {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), Fault> {
        if self.take(wanted) {
            return Ok(());
        }
        let found = match self.chars.get(self.at) {
            Some(c) => format!("`{c}` stands there"),
            None => "the text ends".to_owned(),
        };
        Err(self.fault(format!("`{wanted}` is expected, but {found}")))
    }

    fn fault(&self, problem: impl Into<String>) -> Fault {
        Fault { offset: self.at, reason: Reason::Syntax { problem: problem.into() } }
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > limits::EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.at));
        }
        let mut expr = self.primary()?;
        loop {
            let offset = self.at;
            if self.take('.') {
                let name = self.name()?;
                expr = self.node(offset, Node::Member(Box::new(expr), name))?;
            } else if self.peek() == Some('[') {
                self.at += 1;
                let index = self.expression()?;
                self.expect(']')?;
                expr = self.node(offset, Node::Index(Box::new(expr), Box::new(index)))?;
            } else {
                break;
            }
        }
        self.depth -= 1;
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let first = self.peek();
        let offset = self.at;
        let node = match first {
            Some('\'') => Node::Text(self.text()?),
            Some(c) if c.is_ascii_digit() || c == '-' => self.int()?,
            Some(c) if c.is_alphabetic() || c == '_' => self.call()?,
            Some(c) => return Err(self.fault(format!("`{c}` begins no value; expected a function, a number or a 'text'"))),
            None => return Err(self.fault("the text ends where a value is expected")),
        };
        self.node(offset, node)
    }

    /// A node, if the tree below it is not too deep: whoever walks it recurses.
    fn node(&self, offset: usize, node: Node) -> Result<Expr, Fault> {
        let below = match &node {
            Node::Bool(_) | Node::Int(_) | Node::Null | Node::Text(_) => 0,
            Node::Member(of, _) => of.height,
            Node::Index(of, index) => of.height.max(index.height),
            Node::Call { arguments, .. } => arguments.iter().map(|argument| argument.height).max().unwrap_or(0),
        };
        if below >= limits::EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.at));
        }
        Ok(Expr { offset, node, height: below + 1 })
    }

    /// From one quote to the next; two quotes after each other are one.
    fn text(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.chars.get(self.at) {
            self.at += 1;
            if *c != '\'' {
                text.push(*c);
            } else if self.chars.get(self.at) == Some(&'\'') {
                self.at += 1;
                text.push('\'');
            } else {
                return Ok(text);
            }
        }
        self.at = start;
        Err(self.fault("the text that begins here has no closing '; a ' inside of it is written ''"))
    }

    fn int(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        self.at += usize::from(self.chars.get(start) == Some(&'-'));
        let digits = self.run(|c| c.is_ascii_digit());
        if self.chars.get(self.at) == Some(&'.') {
            return Err(self.fault("expressions have whole numbers only; write json('1.5') for others"));
        }
        let sign = if self.chars.get(start) == Some(&'-') { "-" } else { "" };
        match format!("{sign}{digits}").parse() {
            Ok(int) => Ok(Node::Int(int)),
            Err(_not_an_int) => {
                self.at = start;
                Err(self.fault("a number is expected here, from -9223372036854775808 to 9223372036854775807"))
            }
        }
    }

    fn run(&mut self, accept: impl Fn(char) -> bool) -> String {
        let run: String = self.chars.iter().skip(self.at).take_while(|c| accept(**c)).collect();
        self.at += run.chars().count();
        run
    }

    fn name(&mut self) -> Result<String, Fault> {
        self.peek();
        let name = self.run(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
        if name.is_empty() {
            return Err(self.fault("a name is expected here; write ['…'] for one with other characters"));
        }
        Ok(name)
    }

    fn call(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        let mut name = self.name()?;
        let after_name = self.at;
        if self.take('.') {
            name = format!("{name}.{}", self.name()?);
        }
        if self.take('(') {
            let arguments = self.arguments()?;
            return Ok(Node::Call { name, arguments });
        }
        let constant = match name.split('.').next() {
            Some("true") => Node::Bool(true),
            Some("false") => Node::Bool(false),
            Some("null") => Node::Null,
            Some(_) | None => {
                self.at = start;
                return Err(self.fault(format!(
                    "`{0}` is no value; write '{0}' for a text, {0}(…) for a function or parameters('{0}') for a parameter",
                    quoted(&name)
                )));
            }
        };
        self.at = after_name;
        Ok(constant)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut arguments = Vec::new();
        if self.take(')') {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.take(',') {
                self.expect(')')?;
                return Ok(arguments);
            }
        }
    }
}

fn too_deep(offset: usize) -> Fault {
    let max = u64::try_from(limits::EXPRESSION_DEPTH_MAX).unwrap_or(u64::MAX);
    Fault { offset, reason: Reason::Limit { what: "calls and properties inside each other in an expression", max } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match read(text) {
            Ok(Text::Literal(text)) => format!("literal {text}"),
            Ok(Text::Expression(expr)) => show(&expr),
            Err(fault) => format!("{}: {}", fault.offset, fault.reason),
        };
        assert_eq!(shown, expected, "{text}");
    }

    fn show(expr: &Expr) -> String {
        match &expr.node {
            Node::Bool(value) => value.to_string(),
            Node::Null => "null".to_owned(),
            Node::Int(value) => value.to_string(),
            Node::Text(text) => format!("'{text}'"),
            Node::Member(of, name) => format!("{}.{name}", show(of)),
            Node::Index(of, index) => format!("{}[{}]", show(of), show(index)),
            Node::Call { name, arguments } => {
                format!("{name}({})", arguments.iter().map(show).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn strings_are_literals_unless_brackets_enclose_them() {
        check("", "literal ");
        check("[", "literal [");
        check("plain", "literal plain");
        check("[x] y", "literal [x] y");
        check("[[parameters('x')]", "literal [parameters('x')]");
        check("[[x", "literal [[x");
        check("[concat('a')]", "concat('a')");
    }

    #[test]
    fn expressions_have_calls_members_and_indexes() {
        check("[f()]", "f()");
        check("[ f ( 1 , -2 ,'it''s' ) ]", "f(1, -2, 'it's')");
        check("[f().a.b[0]['c d'][g(1)].e]", "f().a.b[0]['c d'][g(1)].e");
        check("[contoso.name('x')]", "contoso.name('x')");
        check("[if(true, false, null)]", "if(true, false, null)");
        check("[\n  f(\n1)\n]", "f(1)");
    }

    #[test]
    fn faults_name_their_place() {
        check("[]", "1: `]` begins no value; expected a function, a number or a 'text'");
        check("[f(1]", "4: `)` is expected, but `]` stands there");
        check("[f('a]", "3: the text that begins here has no closing '; a ' inside of it is written ''");
        check("[f() g()]", "5: `]` is expected, but `g` stands there");
        let follows = "the expression ends here, but text follows; join several values with concat or format";
        check("[f()][g()]", &format!("5: {follows}"));
    }
}

//! All mutants in one program: each place that has some asks at run time which one is on.
//!
//! A place is an expression (`(if on(7) { a <= b } else { a < b })`) or the beginning of a function (`if on(9) { return true; }`). What is within
//! a mutated expression stands there as it was written; what is within the other branch may have places of its own. Of a function that returns `impl
//! Iterator` the whole body is an expression, with either iterator in one type.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::list::{Genre, Mutant, Span};

/// A file with its mutants.
pub struct Source<'a> {
    pub text: &'a str,
    /// With their numbers.
    pub mutants: Vec<(usize, &'a Mutant)>,
}

/// Which mutants get no place, and which functions stay `const`.
#[derive(Debug, Clone, Default)]
pub struct Left {
    pub mutants: HashSet<usize>,
    pub functions: HashSet<String>,
    /// Stands in the program for good.
    pub real: Option<usize>,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Instrumented {
    pub text: String,
    /// Where each mutant's text stands in it.
    pub ranges: Vec<(usize, Range<usize>)>,
    /// Those whose text is no expression.
    pub no_place: Vec<usize>,
    /// Those in functions that stayed `const`, or in constants.
    pub alone: Vec<usize>,
}

#[derive(Debug)]
struct Site {
    range: Range<usize>,
    kind: Kind,
    /// Numbers, and the whole text that stands there instead.
    variants: Vec<(usize, String)>,
}

/// A body before what it begins with, and then the outer expressions first.
type Order = (usize, Kind, Reverse<usize>, Genre);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Body,
    /// A whole body that is an iterator.
    Iterator,
    /// Stands as a statement of its own, too.
    Match,
    Expression,
}

/// What a file is made of, as byte ranges.
#[derive(Default)]
struct Shape {
    /// From where an operator, a guard, an arm or a field begins to the expression to put in its place.
    expressions: HashMap<(Genre, usize), Range<usize>>,
    /// The word `const` of functions and the function's name and whole range.
    constants: Vec<(Range<usize>, String, Range<usize>)>,
}

impl Shape {
    fn note(&mut self, genre: Genre, at: Range<usize>, whole: Range<usize>) {
        self.expressions.insert((genre, at.start), whole);
    }

    fn constness(&mut self, signature: &syn::Signature, whole: Range<usize>) {
        if let Some(word) = &signature.constness {
            self.constants.push((word.span.byte_range(), signature.ident.to_string(), whole));
        }
    }
}

impl<'ast> Visit<'ast> for Shape {
    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        self.note(Genre::BinaryOperator, node.op.span().byte_range(), node.span().byte_range());
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        self.note(Genre::UnaryOperator, node.op.span().byte_range(), node.span().byte_range());
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        for arm in &node.arms {
            self.note(Genre::MatchArm, arm.span().byte_range(), node.span().byte_range());
            if let Some((_, guard)) = &arm.guard {
                self.note(Genre::MatchArmGuard, guard.span().byte_range(), guard.span().byte_range());
            }
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        for field in &node.fields {
            self.note(Genre::StructField, field.span().byte_range(), node.span().byte_range());
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.constness(&node.sig, node.span().byte_range());
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.constness(&node.sig, node.span().byte_range());
        visit::visit_impl_item_fn(self, node);
    }
}

impl Kind {
    /// What stands before the question, before a variant, behind it, and behind what stands there otherwise.
    const fn around(self) -> [&'static str; 4] {
        match self {
            Self::Body => ["if", "return ", "; }\n", ""],
            Self::Iterator => ["if", "crate::mutants_switch::Either::One(", ") } else { crate::mutants_switch::Either::Other({ ", " }) }"],
            Self::Match => ["{ if", "", " }\nelse { ", " } }"],
            Self::Expression => ["(if", "", " }\nelse { ", " })"],
        }
    }
}

/// The file with all its places.
///
/// # Errors
///
/// It is not Rust, or a mutant stands where nothing is known to stand.
pub fn instrument(source: &Source<'_>, left: &Left) -> Result<Instrumented, String> {
    let file = syn::parse_file(source.text).map_err(|error| error.to_string())?;
    let mut shape = Shape::default();
    shape.visit_file(&file);
    let (kept, freed): (Vec<_>, Vec<_>) = shape.constants.iter().partition(|(_, name, _)| left.functions.contains(name));
    let lines = Lines::new(source.text);
    let mut done = Instrumented::default();
    let mut sites = BTreeMap::<Order, Site>::new();
    let mut real: Option<(Range<usize>, String)> = None;
    for (number, mutant) in &source.mutants {
        let range = lines.range(mutant.span);
        if left.real == Some(*number) {
            real = Some((range, mutant.replacement.clone()));
            continue;
        }
        if left.mutants.contains(number) {
            continue;
        }
        if kept.iter().any(|(_, _, whole)| whole.contains(&range.start)) {
            done.alone.push(*number);
            continue;
        }
        let whole = shape.expressions.get(&(mutant.genre, range.start));
        if whole.is_none() && mutant.genre != Genre::FnValue {
            return Err(format!("no expression is known for {}", mutant.name));
        }
        let Some((at, kind, text)) = place(source.text, whole, mutant, &range) else {
            done.no_place.push(*number);
            continue;
        };
        let order = (at.start, kind, Reverse(at.end), mutant.genre);
        let site = sites.entry(order).or_insert(Site { range: at, kind, variants: Vec::new() });
        site.variants.push((*number, text));
    }
    let untouched = |site: &Site| real.as_ref().is_none_or(|(place, _)| site.range.end <= place.start || place.end <= site.range.start);
    let sites: Vec<Site> = sites.into_values().filter(untouched).collect();
    let words: Vec<Range<usize>> = freed.iter().map(|(word, _, _)| word.clone()).collect();
    Writer { source: source.text, words: &words, real, done: &mut done }.emit(0..source.text.len(), &sites);
    Ok(done)
}

/// The range that is replaced, how, and by what; `None` where that is no Rust.
fn place(text: &str, whole: Option<&Range<usize>>, mutant: &Mutant, range: &Range<usize>) -> Option<(Range<usize>, Kind, String)> {
    let Some(whole) = whole else {
        syn::parse_str::<syn::Expr>(&mutant.replacement).ok()?;
        return Some(match mutant.item() {
            Some(item) => (range.clone(), Kind::Iterator, format!("crate::mutants_switch::of::<{item}, _>({})", mutant.replacement)),
            None => (range.start..range.start, Kind::Body, mutant.replacement.clone()),
        });
    };
    let changed = format!("{}{}{}", text.get(whole.start..range.start)?, mutant.replacement, text.get(range.end..whole.end)?);
    syn::parse_str::<syn::Expr>(&changed).ok()?;
    // A condition with `let` is no expression of its own.
    if mutant.genre == Genre::BinaryOperator && has_let(&syn::parse_str::<syn::Expr>(text.get(whole.clone())?).ok()?) {
        return None;
    }
    let kind = if mutant.genre == Genre::MatchArm { Kind::Match } else { Kind::Expression };
    Some((whole.clone(), kind, changed))
}

fn has_let(condition: &syn::Expr) -> bool {
    match condition {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(both) => has_let(&both.left) || has_let(&both.right),
        _ => false,
    }
}

struct Writer<'a> {
    source: &'a str,
    /// The word `const` where it is to go.
    words: &'a [Range<usize>],
    real: Option<(Range<usize>, String)>,
    done: &'a mut Instrumented,
}

impl Writer<'_> {
    /// The sites are those within the range, the outer ones first.
    fn emit(&mut self, range: Range<usize>, sites: &[Site]) {
        let mut at = range.start;
        let mut rest = sites;
        while let Some((site, behind)) = rest.split_first() {
            self.copy(at..site.range.start);
            let within = behind.iter().take_while(|other| other.range.end <= site.range.end && other.range.start < site.range.end).count();
            let (inner, outer) = behind.split_at(if site.kind == Kind::Body { 0 } else { within });
            self.site(site, inner);
            at = site.range.end;
            rest = outer;
        }
        self.copy(at..range.end);
    }

    fn site(&mut self, site: &Site, inner: &[Site]) {
        let [open, before, behind, close] = site.kind.around();
        for (number, text) in &site.variants {
            let _ = write!(self.done.text, "{open} crate::mutants_switch::on({number}) {{ {before}");
            let start = self.done.text.len();
            self.done.text.push_str(text);
            self.done.ranges.push((*number, start..self.done.text.len()));
            self.done.text.push_str(behind);
        }
        if site.kind != Kind::Body {
            self.emit(site.range.clone(), inner);
        }
        self.done.text.extend(std::iter::repeat_n(close, site.variants.len()));
    }

    fn copy(&mut self, range: Range<usize>) {
        let mut at = range.start;
        let mut changes: Vec<(Range<usize>, &str)> =
            self.words.iter().filter(|word| range.start <= word.start && word.end <= range.end).map(|word| (word.clone(), "")).collect();
        if let Some((place, text)) = &self.real
            && range.start <= place.start
            && place.end <= range.end
        {
            changes.push((place.clone(), text));
        }
        changes.sort_by_key(|(place, _)| place.start);
        for (place, text) in changes {
            self.done.text.push_str(&self.source[at..place.start]);
            self.done.text.push_str(text);
            at = place.end;
        }
        self.done.text.push_str(&self.source[at..range.end]);
    }
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.offset(span.start.line, span.start.column)..self.offset(span.end.line, span.end.column)
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts[line - 1];
        self.text[start..].char_indices().nth(column - 1).map_or(self.text.len(), |(at, _)| start + at)
    }
}

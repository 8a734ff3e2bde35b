//! JSON paths that cost nothing until one is printed.

use std::fmt;

/// A place in a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Self>,
    segment: Segment<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'p> {
    Index(usize),
    Name(&'p str),
    Root(&'p str),
}

impl<'p> Path<'p> {
    /// A path that is printed already.
    pub(super) const fn root(path: &'p str) -> Self {
        Self { parent: None, segment: Segment::Root(path) }
    }

    /// A property of what is here.
    pub(super) const fn name(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), segment: Segment::Name(name) }
    }

    /// An item of what is here.
    pub(super) const fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            fmt::Display::fmt(parent, f)?;
        }
        match self.segment {
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Name(name) => f.write_str(&super::value::child("", name)),
            Segment::Root(path) => f.write_str(path),
        }
    }
}

//! The Merkle tree over the lines of a log, kept as its peaks, and proofs from it.
//!
//! Source: RFC 6962 §2.1. The data of a leaf is the hash of a line.

use serde::{Deserialize, Serialize};

use super::hash::Hash;

/// A tree of `size` leaves as the roots of its largest complete subtrees, from left to right: one for each bit of `size`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

/// Nodes from a leaf or an older root up to a root, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof(pub Vec<Hash>);

/// A proof that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The number of peaks does not fit the size.
    #[error("a tree of {size} leaves has not {peaks} peaks")]
    Peaks {
        /// Leaves.
        size: u64,
        /// Peaks given.
        peaks: usize,
    },
    /// What is asked for lies outside of the leaves at hand.
    #[error("there is no leaf {at} among those from {from} to {to}")]
    Range {
        /// What was asked for, counted from 0.
        at: u64,
        /// The first leaf at hand.
        from: u64,
        /// The last but one.
        to: u64,
    },
}

impl Tree {
    /// The tree of this size with these peaks.
    ///
    /// # Errors
    /// When there are more or fewer peaks than a tree of this size has.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, TreeError> {
        let fits = u64::from(size.count_ones()) == peaks.len() as u64;
        if fits { Ok(Self { size, peaks }) } else { Err(TreeError::Peaks { size, peaks: peaks.len() }) }
    }

    /// Leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the largest complete subtrees, from left to right.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the line with this hash.
    pub fn push(&mut self, line: &Hash) {
        let mut node = line.leaf();
        for _ in 0..self.size.trailing_ones() {
            node = self.peaks.pop().map_or(node, |left| Hash::node(&left, &node));
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root; of an empty tree, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_right = self.peaks.iter().rev();
        let Some(last) = from_right.next() else { return Hash::of(&[]) };
        from_right.fold(*last, |right, left| Hash::node(left, &right))
    }
}

/// What proofs are made from: the tree of everything that is gone, and the hashes of the lines after it.
struct Leaves<'a> {
    gone: &'a Tree,
    lines: &'a [Hash],
}

impl Leaves<'_> {
    fn size(&self) -> u64 {
        self.gone.size + self.lines.len() as u64
    }

    /// The root of the subtree over the leaves `from` to `to`; none when it needs a leaf that is gone.
    fn root(&self, from: u64, to: u64) -> Option<Hash> {
        if to <= self.gone.size {
            return self.peak(from, to);
        }
        if to - from == 1 {
            let at = usize::try_from(from.checked_sub(self.gone.size)?).ok()?;
            return self.lines.get(at).map(Hash::leaf);
        }
        let middle = from + split(to - from);
        Some(Hash::node(&self.root(from, middle)?, &self.root(middle, to)?))
    }

    /// The peak over exactly these leaves. A subtree beside a kept leaf, or a part of one, that lies wholly among the leaves
    /// that are gone is complete, and it is a peak, since the tree above it reaches beyond them.
    fn peak(&self, from: u64, to: u64) -> Option<Hash> {
        let mut start = 0;
        let mut rest = self.gone.size;
        for peak in &self.gone.peaks {
            let width = 1 << rest.checked_ilog2()?;
            if (start, start + width) == (from, to) {
                return Some(*peak);
            }
            start += width;
            rest -= width;
        }
        None
    }
}

/// The largest power of two below `width`, which is above 1.
const fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The proof that line `at` (counted from 0) is in the tree over `gone` and `lines`.
///
/// # Errors
/// When that line is not among `lines`.
pub fn inclusion_proof(gone: &Tree, lines: &[Hash], at: u64) -> Result<Proof, TreeError> {
    let leaves = Leaves { gone, lines };
    let range = TreeError::Range { at, from: gone.size, to: leaves.size() };
    if at < gone.size || at >= leaves.size() {
        return Err(range);
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, leaves.size());
    while to - from > 1 {
        let middle = from + split(to - from);
        let sibling = if at < middle { leaves.root(middle, to) } else { leaves.root(from, middle) };
        path.push(sibling.ok_or(range)?);
        if at < middle { to = middle } else { from = middle }
    }
    path.reverse();
    Ok(Proof(path))
}

/// Whether the line with hash `line` is number `at` (counted from 0) of a tree of `size` leaves with this root.
///
/// Source: RFC 9162 §2.1.3.2.
#[must_use]
pub fn verify_inclusion(line: &Hash, at: u64, size: u64, proof: &Proof, root: &Hash) -> bool {
    if at >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (at, size - 1, line.leaf());
    for sibling in &proof.0 {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = Hash::node(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = Hash::node(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && node == *root
}

/// The proof that the tree of the first `size` lines grew into the tree over `gone` and `lines`.
///
/// # Errors
/// When `size` is 0, smaller than what is gone, or larger than the tree.
pub fn consistency_proof(gone: &Tree, lines: &[Hash], size: u64) -> Result<Proof, TreeError> {
    let leaves = Leaves { gone, lines };
    let range = TreeError::Range { at: size, from: gone.size, to: leaves.size() };
    if size == 0 || size < gone.size || size > leaves.size() {
        return Err(range);
    }
    let mut path = Vec::new();
    let (mut from, mut to, mut is_whole) = (0, leaves.size(), true);
    while to != size {
        let middle = from + split(to - from);
        if size <= middle {
            path.push(leaves.root(middle, to).ok_or(range)?);
            to = middle;
        } else {
            path.push(leaves.root(from, middle).ok_or(range)?);
            from = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        path.push(leaves.root(from, to).ok_or(range)?);
    }
    path.reverse();
    Ok(Proof(path))
}

/// Whether a tree of `old_size` leaves with `old_root` grew into one of `size` leaves with `root`.
///
/// Source: RFC 9162 §2.1.4.2.
#[must_use]
pub fn verify_consistency(old_size: u64, old_root: &Hash, size: u64, root: &Hash, proof: &Proof) -> bool {
    if old_size == size {
        return proof.0.is_empty() && old_root == root;
    }
    if old_size == 0 || old_size > size {
        return false;
    }
    let mut path = proof.0.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut old_node, mut node) = (*first, *first);
    let shift = (old_size - 1).trailing_ones();
    let (mut at, mut last) = ((old_size - 1) >> shift, (size - 1) >> shift);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_node = Hash::node(sibling, &old_node);
            node = Hash::node(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = Hash::node(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_node == *old_root && node == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE_MAX: u64 = 40;

    fn lines(size: u64) -> Vec<Hash> {
        (0..size).map(|at| Hash::of(&at.to_be_bytes())).collect()
    }

    fn tree(lines: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        lines.iter().for_each(|line| tree.push(line));
        tree
    }

    /// The definition, word by word. Source: RFC 6962 §2.1.
    fn slow_root(lines: &[Hash]) -> Hash {
        match lines {
            [] => Hash::of(b""),
            [one] => one.leaf(),
            many => {
                let (left, right) = many.split_at(usize::try_from(split(many.len() as u64)).unwrap());
                Hash::node(&slow_root(left), &slow_root(right))
            }
        }
    }

    #[test]
    fn peaks_give_the_root_of_the_definition() {
        for size in 0..=SIZE_MAX {
            let lines = lines(size);
            let tree = tree(&lines);
            assert_eq!((tree.size(), tree.root()), (size, slow_root(&lines)));
            assert_eq!(Tree::from_peaks(size, tree.peaks().to_vec()).unwrap(), tree);
            assert!(Tree::from_peaks(size + 1, tree.peaks().to_vec()).is_err() || (size + 1).count_ones() == size.count_ones());
        }
    }

    #[test]
    fn what_is_kept_is_proven_and_nothing_else() {
        for size in 1..=SIZE_MAX {
            let all = lines(size);
            let root = tree(&all).root();
            for gone in 0..size {
                let (before, kept) = all.split_at(usize::try_from(gone).unwrap());
                let gone_tree = tree(before);
                for at in gone..size {
                    let line = all[usize::try_from(at).unwrap()];
                    let proof = inclusion_proof(&gone_tree, kept, at).unwrap();
                    assert!(verify_inclusion(&line, at, size, &proof, &root), "{at} of {size}, {gone} gone");
                    assert!(!verify_inclusion(&Hash::of(b"other"), at, size, &proof, &root));
                    assert!(!verify_inclusion(&line, at + 1, size, &proof, &root));
                    assert!(!verify_inclusion(&line, at, size, &proof, &Hash::ZERO));
                    let longer = Proof([proof.0.clone(), vec![root]].concat());
                    assert!(!verify_inclusion(&line, at, size, &longer, &root));
                    for node in 0..proof.0.len() {
                        let mut wrong = proof.clone();
                        wrong.0[node] = Hash::ZERO;
                        assert!(!verify_inclusion(&line, at, size, &wrong, &root));
                    }
                }
                assert!(inclusion_proof(&gone_tree, kept, size).is_err());
                assert!(gone == 0 || inclusion_proof(&gone_tree, kept, gone - 1).is_err());
            }
        }
    }

    #[test]
    fn growth_is_proven_and_rewriting_is_not() {
        for size in 1..=SIZE_MAX {
            let all = lines(size);
            let root = tree(&all).root();
            for gone in 0..size {
                let (before, kept) = all.split_at(usize::try_from(gone).unwrap());
                for old in gone.max(1)..=size {
                    let old_root = slow_root(&all[..usize::try_from(old).unwrap()]);
                    let proof = consistency_proof(&tree(before), kept, old).unwrap();
                    assert!(verify_consistency(old, &old_root, size, &root, &proof), "{old} in {size}, {gone} gone");
                    assert!(!verify_consistency(old, &Hash::ZERO, size, &root, &proof));
                    assert!(!verify_consistency(old, &old_root, size, &Hash::ZERO, &proof));
                    let longer = Proof([proof.0.clone(), vec![root]].concat());
                    assert!(!verify_consistency(old, &old_root, size, &root, &longer));
                }
            }
            assert!(consistency_proof(&Tree::default(), &all, 0).is_err());
            assert!(consistency_proof(&Tree::default(), &all, size + 1).is_err());
        }
    }
}

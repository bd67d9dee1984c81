//! Ordered sets for use within the crate: the keys of a map.

use std::borrow::Borrow;

use super::map::{Iter, Map};

/// An ordered set.
#[derive(Clone)]
pub(crate) struct Set<T>(Map<T, ()>);

impl<T> Set<T> {
    pub(crate) const fn new() -> Self {
        Set(Map::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.keys()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|item, ()| keep(item));
    }
}

impl<T: Ord> Set<T> {
    /// Whether the set did not have it.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        self.0.insert(item, ()).is_none()
    }

    pub(crate) fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(item)
    }

    /// Whether it has an item from `start` on and below `end`.
    pub(crate) fn has_any(&self, start: &T, end: &T) -> bool {
        self.0.has_any(start, end)
    }

    /// Whether the set had it.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(item).is_some()
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Set::new()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        super::gather(items)
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(item, ())| item)
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::iter::Map<Iter<'a, T, ()>, fn((&'a T, &'a ())) -> &'a T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(item, ())| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_each_item_once_and_in_order() {
        let mut set: Set<String> = ["b", "a", "b", "c"].map(String::from).into_iter().collect();
        assert!(!set.insert("a".into()) && set.insert("d".into()) && set.remove("b") && !set.remove("b"));
        assert!(set.contains("a") && !set.contains("b"));
        set.retain(|item| item != "c");
        assert_eq!((set.len(), format!("{set:?}")), (2, "{\"a\", \"d\"}".into()));
        assert_eq!(set.into_iter().collect::<String>(), "ad");
    }
}

//! Ordered maps for use within the crate. The standard library's B-tree is 5,000 lines of LLVM's language for
//! each pair of types, and forty of them were a quarter of this crate's build time. Here the order is a value of its
//! own, which knows places and no types, and is compiled once.
//!
//! Invariant: the order names each place of `entries` once, by ascending key.

use std::borrow::Borrow;
use std::cmp::Ordering;

use super::arrange;

/// An ordered map.
#[derive(Clone)]
pub(crate) struct Map<K, V> {
    entries: Vec<(K, V)>,
    order: Order,
}

/// Places in runs of at most [`LONGEST`], none of them empty.
#[derive(Clone, Default)]
struct Order(Vec<Vec<usize>>);

/// An insertion moves so many places at most.
const LONGEST: usize = 256;

/// A run, and the place within it.
type At = (usize, usize);

impl Order {
    /// Where a key stands, or would stand: `compare` holds the key of a place against it.
    fn find(&self, compare: &dyn Fn(usize) -> Ordering) -> Result<At, At> {
        let after = self.0.partition_point(|run| compare(run[0]) != Ordering::Greater);
        let Some(run) = after.checked_sub(1) else { return Err((0, 0)) };
        match self.0[run].binary_search_by(|place| compare(*place)) {
            Ok(at) => Ok((run, at)),
            Err(at) => Err((run, at)),
        }
    }

    fn insert(&mut self, (run, at): At, place: usize) {
        if self.0.is_empty() {
            self.0.push(Vec::new());
        }
        self.0[run].insert(at, place);
        if self.0[run].len() > LONGEST {
            let rest = self.0[run].split_off(LONGEST / 2);
            self.0.insert(run + 1, rest);
        }
    }

    fn remove(&mut self, (run, at): At) {
        self.0[run].remove(at);
        if self.0[run].is_empty() {
            self.0.remove(run);
        }
    }

    /// The order of entries that stand in order.
    fn straight(len: usize) -> Self {
        let places: Vec<usize> = (0..len).collect();
        Order(places.chunks(LONGEST).map(<[usize]>::to_vec).collect())
    }

    fn walk(&self) -> Walk<'_> {
        Walk { runs: self.0.iter(), run: [].iter() }
    }
}

/// The places, in order.
#[derive(Clone)]
struct Walk<'a> {
    runs: std::slice::Iter<'a, Vec<usize>>,
    run: std::slice::Iter<'a, usize>,
}

impl Iterator for Walk<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.run.as_slice().is_empty() {
            self.run = self.runs.next()?.iter();
        }
        self.run.next().copied()
    }
}

/// The entries, in order.
pub(crate) struct Iter<'a, K, V> {
    entries: &'a [(K, V)],
    walk: Walk<'a>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = &self.entries[self.walk.next()?];
        Some((key, value))
    }
}

impl<K, V> Map<K, V> {
    pub(crate) const fn new() -> Self {
        Map { entries: Vec::new(), order: Order(Vec::new()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        Iter { entries: &self.entries, walk: self.order.walk() }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.straighten();
        self.entries.retain_mut(|(key, value)| keep(key, value));
        self.order = Order::straight(self.entries.len());
    }

    /// Puts the entries themselves in order.
    fn straighten(&mut self) {
        let order = std::mem::replace(&mut self.order, Order::straight(self.entries.len()));
        arrange(order.0.concat(), &mut |a, b| self.entries.swap(a, b));
    }
}

impl<K: Ord, V> Map<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<At, At>
    where
        K: Borrow<Q>,
    {
        self.order.find(&|place| self.entries[place].0.borrow().cmp(key))
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|(run, at)| self.order.0[run][at])
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).map(|place| &self.entries[place].1)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).map(|place| &mut self.entries[place].1)
    }

    pub(crate) fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.place(key).map(|place| (&self.entries[place].0, &self.entries[place].1))
    }

    /// Whether it has a key from `start` on and below `end`.
    pub(crate) fn has_any(&self, start: &K, end: &K) -> bool {
        let (Ok((run, at)) | Err((run, at))) = self.find(start);
        let next = self.order.0.get(run).and_then(|places| places.get(at));
        let next = next.or_else(|| self.order.0.get(run + 1)?.first());
        next.is_some_and(|place| self.entries[*place].0 < *end)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// The value that the key had before, if any. As in the standard library the old key stays.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((run, at)) => Some(std::mem::replace(&mut self.entries[self.order.0[run][at]].1, value)),
            Err(at) => {
                self.order.insert(at, self.entries.len());
                self.entries.push((key, value));
                None
            }
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (run, at) = self.find(key).ok()?;
        let place = self.order.0[run][at];
        // The last entry takes the place that becomes free.
        let last = self.entries.last().and_then(|(last, _)| self.find(last.borrow()).ok())?;
        self.order.0[last.0][last.1] = place;
        self.order.remove((run, at));
        Some(self.entries.swap_remove(place).1)
    }

    pub(crate) fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }
}

/// A key's entry, which may have to be made.
pub(crate) struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
}

impl<'a, K: Ord, V> Entry<'a, K, V> {
    pub(crate) fn or_insert_with(self, value: impl FnOnce() -> V) -> &'a mut V {
        let place = match self.map.find(&self.key) {
            Ok((run, at)) => self.map.order.0[run][at],
            Err(at) => {
                self.map.order.insert(at, self.map.entries.len());
                self.map.entries.push((self.key, value()));
                self.map.entries.len() - 1
            }
        };
        &mut self.map.entries[place].1
    }

    pub(crate) fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    pub(crate) fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map::new()
    }
}

impl<K: std::fmt::Debug, V: std::fmt::Debug> std::fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        super::gather(items)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(items: [(K, V); N]) -> Self {
        super::gather(items)
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(mut self) -> Self::IntoIter {
        self.straighten();
        self.entries.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Each call and the standard library's answer to it, in four orders of insertion.
    #[test]
    fn a_map_answers_as_the_standard_library_does() {
        let orders: [fn(u64) -> u64; 4] = [|i| i, |i| 3000 - i, |i| i * 7919 % 3001, |i| i * i % 500];
        for key in orders {
            let (mut map, mut std) = (Map::new(), BTreeMap::new());
            for i in 0..3000 {
                assert_eq!(map.insert(key(i), i), std.insert(key(i), i));
                *map.entry(key(i) / 2).or_default() += 1;
                *std.entry(key(i) / 2).or_default() += 1;
                if i % 3 == 0 {
                    assert_eq!(map.remove(&(key(i) / 3)), std.remove(&(key(i) / 3)));
                }
            }
            assert!(map.iter().eq(&std) && map.len() == std.len());
            for i in 0..3100 {
                assert_eq!((map.get(&i), map.contains_key(&i)), (std.get(&i), std.contains_key(&i)));
            }
            for (start, end) in (0..3100).map(|i| (i, i + i % 4)) {
                assert_eq!(map.has_any(&start, &end), std.range(start..end).next().is_some());
            }
            assert!(map.order.0.iter().all(|run| !run.is_empty() && run.len() <= LONGEST));
            map.retain(|key, value| (*key + *value) % 3 == 0);
            std.retain(|key, value| (*key + *value) % 3 == 0);
            assert!(map.iter().eq(&std));
            map.extend([(1, 2), (0, 0), (1, 3)]);
            std.extend([(1, 2), (0, 0), (1, 3)]);
            assert_eq!(format!("{map:?}"), format!("{std:?}"));
            for i in 0..3000 {
                if i % 5 != 0 {
                    assert_eq!(map.remove(&key(i)), std.remove(&key(i)));
                }
            }
            assert!(map.clone().into_iter().eq(std.clone()));
            for key in std.keys() {
                assert!(map.remove(key).is_some());
            }
            assert!(map.is_empty() && map.order.0.is_empty());
        }
    }
}

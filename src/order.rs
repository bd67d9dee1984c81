//! Sorting and gathering whose code is compiled once. The standard library's sort is 1,500 lines of LLVM's language
//! for each type, and so is what sorts before it fills an ordered set: a tenth of this crate's build time together.

mod map;
mod set;

use std::cmp::Ordering;

pub(crate) use map::Map;
pub(crate) use set::Set;

/// Sorts, and keeps the order of what is equal.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by a comparison, and keeps the order of what is equal.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let sources = sources(items.len(), &|a, b| compare(&items[a], &items[b]));
    arrange(sources, &mut |a, b| items.swap(a, b));
}

/// A set, map or list of all that an iterator gives: `collect` would sort first.
pub(crate) fn gather<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut out = C::default();
    out.extend(items);
    out
}

/// For each place of the sorted list, the place where its item is now.
fn sources(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut sources: Vec<usize> = (0..len).collect();
    sources.sort_by(|a, b| compare(*a, *b));
    sources
}

/// Moves each item to its place: along each circle of places, what is displaced travels until the circle closes.
fn arrange(mut sources: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..sources.len() {
        let mut place = start;
        while sources[place] != start {
            let source = sources[place];
            swap(place, source);
            sources[place] = place;
            place = source;
        }
        sources[place] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_does_what_the_standard_library_does() {
        let mut state = 7_u64;
        for len in [0, 1, 2, 3, 10, 257, 5000] {
            let mut items: Vec<(u64, usize)> = (0..len)
                .map(|i| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((state >> 33) % (len as u64 / 3 + 1), i)
                })
                .collect();
            let mut wanted = items.clone();
            wanted.sort_by_key(|(key, _)| *key);
            sort_by(&mut items, |a, b| a.0.cmp(&b.0));
            assert_eq!(items, wanted);
            items.reverse();
            sort(&mut items);
            wanted.sort();
            assert_eq!(items, wanted);
        }
    }

    #[test]
    fn a_map_keeps_the_last_of_each_key() {
        let map: std::collections::BTreeMap<u8, char> = gather([(2, 'a'), (1, 'b'), (2, 'c')]);
        assert_eq!(map.into_iter().collect::<Vec<_>>(), [(1, 'b'), (2, 'c')]);
    }
}

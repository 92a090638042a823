//! A list of services, or of something that each of them has, in order. Copies share all in which they do not differ:
//! to copy one and to change an entry costs next to nothing, however long it is, and where two differ is told without
//! looking at what they share.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::id::ServiceId;

/// How many entries are copied when one of them changes.
const PAGE: usize = 64;

/// Entries in order, each found by the id of its service; should one stand twice, the last.
pub struct Roll<T> {
    places: Arc<HashMap<ServiceId, usize>>,
    /// All of them full, but the last.
    pages: Vec<Page<T>>,
}

type Page<T> = Arc<Vec<Arc<T>>>;

/// What there is one of for a service.
pub trait Listed {
    /// Which service.
    fn id(&self) -> &ServiceId;
}

impl<T: Listed> Roll<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        let [full @ .., last] = self.pages.as_slice() else { return 0 };
        full.len() * PAGE + last.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// All of them in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> + Clone {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// Their ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = &ServiceId> + Clone {
        self.iter().map(|entry| entry.id())
    }

    /// That of `id`.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, id: &Q) -> Option<&Arc<T>>
    where
        ServiceId: Borrow<Q>,
    {
        self.at(*self.places.get(id)?)
    }

    /// Whether there is one of `id`.
    pub fn contains(&self, id: &ServiceId) -> bool {
        self.places.contains_key(id)
    }

    /// Where that of `id` stands.
    pub fn place_of(&self, id: &ServiceId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The one that stands at `place`.
    pub fn at(&self, place: usize) -> Option<&Arc<T>> {
        self.pages.get(place / PAGE)?.get(place % PAGE)
    }

    /// Puts `entry` in the place of the one of the same id; `false` if there is none.
    pub fn replace(&mut self, entry: Arc<T>) -> bool {
        let Some(place) = self.place_of(entry.id()) else { return false };
        // Whatever has a place is on a page.
        Arc::make_mut(&mut self.pages[place / PAGE])[place % PAGE] = entry;
        true
    }

    /// The places at which something else stands than in `other`, or something of which `other` has another copy.
    pub fn unlike<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pages = self.pages.iter().enumerate();
        let pages = pages.filter(|(at, page)| !other.pages.get(*at).is_some_and(|its| Arc::ptr_eq(page, its)));
        pages.flat_map(move |(at, page)| {
            let its = other.pages.get(at);
            let is_same = move |(at, entry): &(usize, &Arc<T>)| {
                its.and_then(|its| its.get(*at)).is_some_and(|its| Arc::ptr_eq(its, entry))
            };
            let unlike = page.iter().enumerate().filter(move |entry| !is_same(entry));
            unlike.map(move |(within, _)| at * PAGE + within)
        })
    }

    /// Whether the two are one and the same, entry by entry; not whether entries say the same.
    pub fn is(&self, other: &Self) -> bool {
        self.len() == other.len() && self.unlike(other).next().is_none()
    }
}

impl<T: Listed> FromIterator<Arc<T>> for Roll<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(entries: I) -> Self {
        let mut roll = Self::default();
        let (mut places, mut page) = (HashMap::new(), Vec::with_capacity(PAGE));
        for (at, entry) in entries.into_iter().enumerate() {
            places.insert(entry.id().clone(), at);
            page.push(entry);
            if page.len() == PAGE {
                roll.pages.push(Arc::new(std::mem::replace(&mut page, Vec::with_capacity(PAGE))));
            }
        }
        if !page.is_empty() {
            page.shrink_to_fit();
            roll.pages.push(Arc::new(page));
        }
        roll.places = Arc::new(places);
        roll
    }
}

impl<T: Listed> From<Vec<Arc<T>>> for Roll<T> {
    fn from(entries: Vec<Arc<T>>) -> Self {
        entries.into_iter().collect()
    }
}

impl<T> Clone for Roll<T> {
    fn clone(&self) -> Self {
        Self { places: Arc::clone(&self.places), pages: self.pages.clone() }
    }
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Self { places: Arc::default(), pages: Vec::new() }
    }
}

impl<T: PartialEq> PartialEq for Roll<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(page, its): (&Page<T>, &Page<T>)| Arc::ptr_eq(page, its) || page == its;
        self.pages.len() == other.pages.len() && self.pages.iter().zip(&other.pages).all(is_same)
    }
}

impl<T: Listed + fmt::Debug> fmt::Debug for Roll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|entry| (entry.id(), entry))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq)]
    struct Entry(ServiceId, u8);

    impl Listed for Entry {
        fn id(&self) -> &ServiceId {
            &self.0
        }
    }

    fn entry(at: usize, value: u8) -> Arc<Entry> {
        Arc::new(Entry(ServiceId::new(&format!("s{at}")).expect("a valid id"), value))
    }

    proptest! {
        #[test]
        fn a_roll_is_the_list_that_it_was_made_of_with_what_has_been_replaced(
            count in 1..300_usize,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut list: Vec<_> = (0..count).map(|at| entry(at, 0)).collect();
            let mut roll: Roll<_> = list.iter().cloned().collect();
            let (before, former) = (roll.clone(), list.clone());
            for (index, value) in edits {
                let at = index.index(count);
                list[at] = entry(at, value);
                prop_assert!(roll.replace(Arc::clone(&list[at])));
            }
            prop_assert!(!roll.replace(entry(count, 0)));
            prop_assert!(roll.iter().eq(&list) && roll == list.clone().into() && roll.len() == count);
            prop_assert!(before.iter().eq(&former), "a copy is not touched");
            let differ: Vec<_> = (0..count).filter(|at| !Arc::ptr_eq(&list[*at], &former[*at])).collect();
            prop_assert_eq!(roll.unlike(&before).collect::<Vec<_>>(), differ.clone());
            prop_assert_eq!(roll.is(&before), differ.is_empty());
            for (at, entry) in list.iter().enumerate() {
                prop_assert_eq!(roll.place_of(&entry.0), Some(at));
                prop_assert!(roll.get(&entry.0).is_some_and(|its| Arc::ptr_eq(its, entry)));
            }
            let shorter: Roll<_> = list[..count - 1].iter().cloned().collect();
            prop_assert!(roll.unlike(&shorter).eq([count - 1]) && !shorter.is(&roll) && shorter != roll);
        }
    }
}

//! Things of one kind by namespace and name. Filled by `follow`, read by reviews.
//!
//! A review takes the map of its namespace by reference count and keeps it as it was; a change makes a copy of that one
//! map only while somebody still reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use shared::admission::surroundings::Named;

/// The maps by namespace.
type Namespaces<T> = BTreeMap<String, Named<T>>;

/// Things of one kind.
pub struct Shelf<T> {
    /// Nothing until the first list is complete, and when the kind may no longer be watched.
    things: RwLock<Option<Namespaces<T>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { things: RwLock::new(None) }
    }
}

impl<T: Clone> Shelf<T> {
    /// The things of a namespace; `None` when nothing is known of the kind.
    pub fn of(&self, namespace: &str) -> Option<Named<T>> {
        let things = self.things.read().unwrap_or_else(PoisonError::into_inner);
        Some(things.as_ref()?.get(namespace).cloned().unwrap_or_default())
    }

    /// The things of all namespaces, with their namespaces' names.
    pub fn all(&self) -> Option<Vec<(String, Named<T>)>> {
        let things = self.things.read().unwrap_or_else(PoisonError::into_inner);
        let all = things.as_ref()?.iter();
        Some(all.map(|(namespace, named)| (namespace.clone(), Arc::clone(named))).collect())
    }

    /// Puts the things of a complete list in the place of everything.
    pub fn fill(&self, list: impl IntoIterator<Item = (String, String, T)>) {
        let mut maps: BTreeMap<String, BTreeMap<String, T>> = BTreeMap::new();
        for (namespace, name, thing) in list {
            maps.entry(namespace).or_default().insert(name, thing);
        }
        let maps = maps.into_iter().map(|(namespace, named)| (namespace, Arc::new(named))).collect();
        *self.things.write().unwrap_or_else(PoisonError::into_inner) = Some(maps);
    }

    /// Puts one thing down, or in the place of another.
    pub fn put(&self, namespace: String, name: String, thing: T) {
        if let Some(things) = &mut *self.things.write().unwrap_or_else(PoisonError::into_inner) {
            Arc::make_mut(things.entry(namespace).or_default()).insert(name, thing);
        }
    }

    /// Takes one thing away.
    pub fn take(&self, namespace: &str, name: &str) {
        if let Some(things) = &mut *self.things.write().unwrap_or_else(PoisonError::into_inner)
            && let Some(named) = things.get_mut(namespace)
        {
            Arc::make_mut(named).remove(name);
        }
    }

    /// Forgets everything: what cannot be watched any more would be old news.
    pub fn forget(&self) {
        *self.things.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_list_and_after_the_right_is_gone() {
        let shelf = Shelf::default();
        shelf.put("a".to_owned(), "x".to_owned(), 1);
        assert_eq!(shelf.of("a"), None);
        shelf.fill([("a".to_owned(), "x".to_owned(), 1)]);
        assert_eq!(shelf.of("a").map(|all| all.len()), Some(1));
        assert_eq!(shelf.of("b").map(|all| all.len()), Some(0), "known to be empty");
        shelf.forget();
        assert_eq!(shelf.of("a"), None);
    }

    #[test]
    fn a_reader_keeps_what_it_took_while_things_change() {
        let shelf = Shelf::default();
        shelf.fill([("a".to_owned(), "x".to_owned(), 1)]);
        let taken = shelf.of("a").unwrap();
        shelf.put("a".to_owned(), "y".to_owned(), 2);
        shelf.take("a", "x");
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["x"]);
        assert_eq!(shelf.of("a").unwrap().keys().collect::<Vec<_>>(), ["y"]);
    }
}

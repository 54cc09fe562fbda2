use super::*;
use crate::store::contract::{self, Fixture, commit, draft};

struct InMemory(MemoryStore);

impl Fixture for InMemory {
    fn store(&self) -> &dyn Store {
        &self.0
    }
    fn reopen(&mut self) -> bool {
        false
    }
}

crate::store_contract!(InMemory(MemoryStore::new(MemoryOptions::default())));

#[test]
fn beyond_the_bound_the_oldest_goes_and_numbers_go_on() {
    let store = MemoryStore::new(MemoryOptions {
        messages_max: 5,
        ..MemoryOptions::default()
    });
    for at in 0..20u64 {
        assert_eq!(
            contract::send(&store, "a", "b", &format!("{at}")).seq,
            at + 1
        );
    }
    let page = store.history("a\nb", Page::After(0, 100)).unwrap();
    assert_eq!(contract::ids(&page), ["15", "16", "17", "18", "19"]);
}

#[test]
fn a_fork_goes_its_own_way() {
    let store = MemoryStore::new(MemoryOptions::default());
    contract::send(&store, "a", "b", "1");
    let fork = store.fork();
    contract::send(&store, "a", "b", "2");
    assert_eq!(contract::send(&fork, "a", "b", "3").seq, 2);
    assert!(matches!(
        commit(&fork, &[draft("a", "b", "1"), draft("a", "b", "2")])[..],
        [Verdict::Duplicate(_), Verdict::New(_)]
    ));
}
